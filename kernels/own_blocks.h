// Copies of a network's layers and embeddings, whose blocks have settings of one trainer.
#pragma once

#include <vector>

#include "api.h"

namespace fastnn {

struct OwnBlocks {
    std::vector<Layer> layers;
    std::vector<Embedding> embeddings;

    // Copies those of a network, which then has the copies. Returns the number of embeddings.
    int64_t take(Network *network) {
        layers.assign(network->layers, network->layers + network->n_layers);
        network->layers = layers.data();
        if (!network->stage) return 0;
        embeddings.assign(network->stage->embeddings, network->stage->embeddings + network->stage->n_embeddings);
        stage.assign(1, *network->stage);
        stage[0].embeddings = embeddings.data();
        network->stage = stage.data();
        return network->stage->n_embeddings;
    }

    // No element moves in memory.
    void swap(OwnBlocks &other) {
        layers.swap(other.layers);
        embeddings.swap(other.embeddings);
        stage.swap(other.stage);
    }

  private:
    std::vector<InputStage> stage;  // one, or none
};

}  // namespace fastnn

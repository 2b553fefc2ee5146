// The kernels of embeddings.
#include "categories.h"
#include "passed_columns.h"
#include "periodic.h"
#include "piecewise.h"

namespace {

template <class T> constexpr Embeddings<T> own_embeddings() {
#define ROW(name, Struct) embedding_kernels<T, Struct>(),
    return {{FASTNN_EMBEDDINGS(ROW)}};
#undef ROW
}

}  // namespace

FASTNN_DEFINE_TABLE(Embeddings, embeddings, own_embeddings)

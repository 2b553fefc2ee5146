"""The declarations of kernels/ for Cython: of network.h, api.h, isa_kernels.h, calls.h, stepper.h, threads.h and others."""
from libc.stdint cimport int32_t, int64_t, intptr_t, uint64_t
from libcpp.vector cimport vector

cdef extern from "kernels/cpu_count.h" namespace "fastnn" nogil:
    struct CpuCount:
        int count
        const char *decided_by

    CpuCount usable_cpus(const char *root)


cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        pass

cdef extern from "kernels/memory.h" namespace "fastnn" nogil:
    cdef cppclass KeptArray:
        void *start()
        bint grow(int64_t bytes)
        bint lay_out(int64_t bytes, uint64_t layout)

cdef extern from "kernels/threads.h" namespace "fastnn" nogil:
    int thread_limit
    int max_threads()
    void set_max_threads(int n)
    const char *threads_decided_by()
    const char *threads_environment_error()

cdef extern from "kernels/ufuncs.h" namespace "fastnn" nogil:
    void float16_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data)
    void float32_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data)
    void float64_loop(char **arrays, const intptr_t *n, const intptr_t *steps, void *data)

cdef extern from "kernels/isa_kernels.h" namespace "fastnn" nogil:
    cdef enum class Type(int32_t):
        float32, float64, int8, uint8, int16, uint16, int32, uint32, int64, uint64, boolean

    cdef cppclass Rows:
        const char *data
        int64_t row_stride, column_stride
        Type type
        bint labels
        const int64_t *row_starts
        const int32_t *columns
        int64_t max_entries

    const int64_t chunk_rows
    const int64_t max_embeddings, max_members
    enum:  # in Cython, only these can be the length of an array
        max_layers
        n_block_kinds
        max_scheduled
        max_rates "1 + fastnn::max_scheduled"

    ctypedef void (*CustomActivation)(const void *z, void *a, void *derivative, int64_t n)

    ctypedef void (*CustomLoss)(const void *y, const void *p, void *value, void *gradient, int64_t n)

    ctypedef void (*CustomRowLoss)(const void *y, const void *p, void *value, void *gradient, int64_t rows, int64_t y_row,
                                   int64_t p_row)

    cdef enum class BlockKind(int32_t):  # block_kind_names() has the names of all
        weights
        projections
        embedding_parameters

    cdef cppclass Block:
        BlockKind kind
        int64_t offset, rows, columns, row
        double learning_rate_factor, decay_factor, epsilon_factor, l1, l2
        bint has_settings, is_frozen
        int64_t end()

    cdef cppclass Layer:
        int64_t n_in, n_out, n_blocks, row
        Block blocks[n_block_kinds]
        int32_t activation
        bint narrow
        int32_t normalization
        bint normalizes_outputs
        bint is_parametric
        bint scales_inputs
        double input_dropout
        int64_t residual_from
        bint adds_to_inputs
        bint is_transposed(const Block &block)
        int64_t n_members
        bint is_separate
        bint scales_members
        int64_t n_columns() const
        double dropout
        CustomActivation custom

    cdef cppclass EmbeddedColumn:
        EmbeddedColumn()
        int64_t of_x, place, width, first_row
        const double *edges

    cdef cppclass Embedding:
        Embedding()
        int32_t kind
        int64_t n_columns
        const EmbeddedColumn *columns
        int64_t n_frequencies
        const int64_t *n_categories
        Block parameters

    cdef cppclass InputStage:
        int64_t n_in, n_embeddings
        const Embedding *embeddings

    cdef cppclass Network_ "fastnn::Network":
        int64_t n_layers
        const Layer *layers
        int64_t size
        const InputStage *stage
        int64_t rows_at_once() const
        bint has_residual_from(int64_t begin)

    cdef cppclass Loss_ "fastnn::Loss":
        int32_t kind
        double parameter
        const double *parameters
        int64_t n_parameters, n_targets
        bint from_logits, per_row
        double factor, value_factor
        CustomLoss custom
        bint signed_mean
        CustomRowLoss custom_rows
        const Head *heads
        int64_t n_heads
        bint whole_rows, ignores_missing
        const double *output_weights
        const double *pos_weight
        double label_smoothing
        bint given
        int64_t columns(int64_t n_out) const

    cdef cppclass Head:
        int64_t first, n_out, first_target
        bint labels
        double weight
        Loss_ loss

    cdef enum class Scheduled(int32_t):
        beta_1, decay, l2, dropout_factor, label_smoothing_factor

    cdef cppclass Optimizer_ "fastnn::Optimizer":
        int32_t kind, moments
        double beta_1, beta_2, epsilon, decay, l1, l2, clip_value, clip_norm
        bint lazy, epsilon_hat, rate_in_velocity, penalty_per_weight
        int32_t n_scheduled
        Scheduled scheduled[max_scheduled]
        double momentum

    cdef cppclass Linear:
        Layer layer
        Rows x, w, b
        int64_t n_rows
        void *out
        int n_threads

    cdef cppclass Gradient:
        Network_ network
        const void *parameters
        Loss_ loss
        Rows x, y
        const double *sample_weight
        int64_t n_rows
        const int64_t *order
        int64_t first
        void *gradient
        void *input_gradient
        int n_threads
        const uint64_t *dropout_key
        double dropout_factor
        double value, weight
        int64_t begin, end
        double sum
        void *outputs

    cdef cppclass Averaging:
        void *average
        int64_t *counts
        bint of_epochs, corrects_bias, ends_epochs
        double decay
        int64_t start

    cdef enum class Status(int32_t):
        paused, finished, diverged, weightless

    cdef cppclass TrainingSettings:
        Network_ network
        void *parameters
        void *moments[2]
        Averaging averaging
        Loss_ loss
        Optimizer_ optimizer
        bitgen_t *random
        int n_state_arrays()

    cdef cppclass Training(TrainingSettings):
        void *snapshot
        Rows x, y
        const double *sample_weight
        int64_t n_rows, batch_size, epoch_rows, n_epochs
        const int64_t *rows
        bint shuffle, reshuffle, loss_by_rows, checks_numbers
        int64_t *order
        const double *learning_rates
        int64_t learning_rate_stride
        int n_threads, max_threads
        double step_work, seconds
        uint64_t layout
        int64_t epoch, row, step, updates
        double *epoch_loss
        double *epoch_seconds
        double batch_loss
        int64_t snapshot_updates
        int64_t epochs_stamped

    cdef cppclass Kernels:
        int vector_bytes
        int64_t training_bytes(Training &)
        Status train(Training &, void *workspace)
        void function(int32_t function, const void *x, void *y, int64_t n)
        void activate(int32_t activation, void *z, int64_t rows, int64_t n)
        void log_softmax(void *z, int64_t rows, int64_t n)
        bint activation_derivative(int32_t activation, void *z, void *derivative, int64_t n)
        bint times_derivative(int32_t activation, void *delta, const void *a, int64_t rows, int64_t n)
        double prediction_loss(int32_t loss, const void *p, const void *y, int64_t n)
        void update(const Optimizer_ &, void *w, const void *g, void *m, void *v, int64_t n, double learning_rate, int64_t updates)
        int optimizer_moments(int32_t optimizer)
        int64_t first_not_finite(const void *values, int64_t n)
        double multiply_add(int64_t rounds, void *sum)
        void copy(const void *source, void *to, int64_t n)
        void blend(void *own, const void *other, int64_t n, double tau)

    cdef cppclass InstructionSet:
        const char *name
        bint supported()
        const Kernels *float32
        const Kernels *float64

    const InstructionSet *instruction_sets_ "fastnn::instruction_sets"()
    int n_instruction_sets()
    const InstructionSet *instruction_set()
    void use_instruction_set(const InstructionSet *chosen)
    int64_t lay_out(Layer *layers, int64_t n_layers, int64_t element_size, Embedding *embeddings, int64_t n_embeddings)
    const char **block_kind_names_ "fastnn::block_kind_names"()
    const char **activation_names_ "fastnn::activation_names"()
    const char **sloped_activation_names_ "fastnn::sloped_activation_names"()
    const char **normalization_names_ "fastnn::normalization_names"()
    const char **embedding_names_ "fastnn::embedding_names"()
    const char **function_names_ "fastnn::function_names"()
    const char **loss_names_ "fastnn::loss_names"()
    const char **prediction_loss_names_ "fastnn::prediction_loss_names"()
    const char **optimizer_names_ "fastnn::optimizer_names"()

cdef extern from "kernels/calls.h" namespace "fastnn" nogil:
    cdef cppclass KeptWorkspace:
        pass

    cdef cppclass ModelLoss:
        Loss_ loss
        int64_t n_targets
        int32_t labels

    cdef cppclass Model:
        Network_ network
        void *parameters
        const ModelLoss **losses
        const ModelLoss *own_loss

    Model model_of(const Network_ &, void *parameters, Type type, double work_per_row, KeptWorkspace *kept)
    Rows dense_rows(const void *data, Type type, int64_t row_stride, int64_t column_stride)
    bint is_one_dense_row(const Rows &x, int64_t n_rows, int n_threads)
    bint native_predict "fastnn::predict"(const Model &, const Rows &x, int64_t n_rows, void **outputs, int n_threads)
    bint native_linear "fastnn::linear"(Linear &, Type type)
    bint native_gradient "fastnn::gradient"(const Model &, Gradient &, void **parameters)
    bint native_jacobian "fastnn::jacobian"(const Model &, const Rows &x, int64_t n_rows, void *jacobian, int n_threads)
    Loss_ given_gradient()
    double layer_work(int64_t n_rows, int64_t n_in, int64_t n_out)
    int native_threads_for "fastnn::threads_for"(double operations)
    int most_threads_for(double operations)
    int threads_for_jacobian(const Network_ &, int64_t n_rows)
    int threads_for_gradient(double work_per_row, int64_t n_rows, bint by_parameters)
    void choose_threads(Training &, Type, int wanted, double work)

cdef extern from "kernels/own_blocks.h" namespace "fastnn" nogil:
    cdef cppclass OwnBlocks:
        vector[Layer] layers
        vector[Embedding] embeddings
        int64_t take(Network_ *network) except +
        void swap(OwnBlocks &other)

cdef extern from "kernels/train_many.h" namespace "fastnn" nogil:
    cdef cppclass Member:
        const Kernels *kernels
        Training *training
        void *workspace
        Status status

    void train_many(Member *members, int64_t n, int n_threads, double seconds)

cdef extern from "kernels/predict_many.h" namespace "fastnn" nogil:
    cdef cppclass ManyPredictions:
        const Model *const *models
        int64_t n_models
        Rows x
        int64_t x_stride, n_rows
        void *out
        int n_threads

    double choose_threads_for_many "fastnn::choose_threads"(ManyPredictions &)
    bint native_predict_many "fastnn::predict_many"(const ManyPredictions &)
    void spread_over_models[T](const T *values, int64_t n_models, int64_t size, double divisor, T *mean, T *deviation)

cdef extern from "kernels/stepper.h" namespace "fastnn" nogil:
    cdef enum class StepStatus(int32_t):
        done, diverged, weightless, no_memory, nothing_accumulated

    cdef cppclass Accumulated:
        bint reserve(int64_t size, Type type)
        bint get(void *mean, void *given, double *weight)
        void set(const void *mean, const void *given, double weight)

    cdef cppclass NativeStepper "fastnn::Stepper":
        Training training
        const Model *model
        double learning_rates[max_rates]
        Type type
        int n_threads
        double work_per_row
        bint takes_labels
        bint acquire()
        void release()
        void change()
        void forget()
        StepStatus step(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows)
        StepStatus step_gradient(const Rows &x, const Rows &gradient, int64_t n_rows)
        StepStatus accumulate(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows)
        StepStatus accumulate_gradient(const Rows &x, const Rows &gradient, int64_t n_rows)
        StepStatus apply()
        StepStatus apply_gradient(void *gradient, bint ends_epoch, bint restores)
        Accumulated accumulated
        KeptArray snapshot, workspace
        double dropout_factor, label_smoothing_factor

cdef extern from "kernels/c_api.h" nogil:
    void fastnn_function_float32(int64_t function, const float *x, float *y, int64_t n)
    void fastnn_function_float64(int64_t function, const double *x, double *y, int64_t n)
    void fastnn_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n)
    void fastnn_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n)
    void fastnn_log_softmax_float32(float *z, int64_t rows, int64_t n)
    void fastnn_log_softmax_float64(double *z, int64_t rows, int64_t n)
    int64_t fastnn_times_derivative_float32(int64_t activation, float *delta, const float *a, int64_t rows, int64_t n)
    int64_t fastnn_times_derivative_float64(int64_t activation, double *delta, const double *a, int64_t rows, int64_t n)
    int64_t fastnn_linear(int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row,
                          int64_t x_column, const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b,
                          int64_t b_type, int64_t b_column, int64_t activation, void *out, int64_t n_threads)
    double fastnn_prediction_loss(int64_t loss, const double *p, const double *y, int64_t n)
    void fastnn_update_float32(int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double learning_rate,
                               double beta_1, double beta_2, double epsilon, double decay, int64_t updates)
    void fastnn_update_float64(int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double learning_rate,
                               double beta_1, double beta_2, double epsilon, double decay, int64_t updates)
    int64_t fastnn_predict(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                           void *out, int64_t n_threads)
    int64_t fastnn_train_step(NativeStepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                              int64_t x_column, const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels,
                              double *loss)
    int64_t fastnn_train_step_gradient(NativeStepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                                       int64_t x_column, const void *g, int64_t g_type, int64_t g_row, int64_t g_column)
    int64_t fastnn_trainer_outputs(const NativeStepper *stepper)
    int64_t fastnn_accumulate(NativeStepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                              int64_t x_column, const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels,
                              double *loss)
    int64_t fastnn_accumulate_gradient(NativeStepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                                       int64_t x_column, const void *g, int64_t g_type, int64_t g_row, int64_t g_column)
    int64_t fastnn_apply(NativeStepper *stepper)
    int64_t fastnn_vjp(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                       const void *g, int64_t g_type, int64_t g_row, int64_t g_column, void *gradient, void *input_gradient,
                       int64_t n_threads)
    int64_t fastnn_jacobian(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                            void *jacobian, int64_t n_threads)
    const ModelLoss *fastnn_model_loss(const Model *model, int64_t loss)
    int64_t fastnn_loss_targets(const ModelLoss *loss)
    int64_t fastnn_loss_labels(const ModelLoss *loss)
    int64_t fastnn_gradient(const Model *model, const ModelLoss *loss, int64_t n_rows, const void *x, int64_t x_type,
                            int64_t x_row, int64_t x_column, const void *y, int64_t y_type, int64_t y_row, int64_t y_column,
                            int64_t labels, void *gradient, void *input_gradient, double *value)
    int64_t fastnn_n_parameters(const Model *model)
    int64_t fastnn_overlaps_parameters(const Model *model, const void *start, int64_t bytes)
    void fastnn_get_parameters(const Model *model, void *vector)
    void fastnn_set_parameters(const Model *model, const void *vector)

cdef extern from "kernels/metrics.h" namespace "fastnn" nogil:
    double native_add_errors "fastnn::add_errors"[T](const T *p, const double *y, const double *weight,
                                                     const double *of_outputs, int64_t n_rows, int64_t n_out, double *squared)
    double native_right_classes "fastnn::right_classes"[T](const T *p, const int64_t *classes, const double *weight, int64_t n_rows,
                                                           int64_t n_out)
    double native_right_sides "fastnn::right_sides"[T](const T *p, const unsigned char *sides, double threshold, const double *weight,
                                                       const double *of_outputs, int64_t n_rows, int64_t n_out)

"""The names in the registry, and the choice of an instruction set. Included by _core.pyx."""

cdef tuple strings(const char *const *list):
    names = []
    cdef int i = 0
    while list[i]:
        names.append(list[i].decode())
        i += 1
    return tuple(names)


BLOCK_KINDS = strings(<const char *const *>block_kind_names_())
ACTIVATIONS = strings(<const char *const *>activation_names_())
LAYER_ACTIVATIONS = ACTIVATIONS + strings(<const char *const *>sloped_activation_names_())  # for networks
NORMALIZATIONS = strings(<const char *const *>normalization_names_())
EMBEDDINGS = strings(<const char *const *>embedding_names_())
FUNCTIONS = strings(<const char *const *>function_names_())
LOSSES = strings(<const char *const *>loss_names_())
PREDICTION_LOSSES = strings(<const char *const *>prediction_loss_names_())
OPTIMIZERS = strings(<const char *const *>optimizer_names_())

# The position of a name in the registry is the number that the kernels take.
cdef dict ACTIVATION_NUMBERS = {name: number for number, name in enumerate(ACTIVATIONS)}
cdef int32_t IDENTITY = ACTIVATION_NUMBERS["identity"]
cdef int32_t SOFTMAX = ACTIVATION_NUMBERS["softmax"]

# Releasing the GIL and taking it again costs more than this number of operations.
cdef double WORK_WITH_THE_GIL = 1e5


def built_instruction_sets():
    """Return the names of the instruction sets in this build, best first."""
    return tuple(instruction_sets_()[i].name.decode() for i in range(n_instruction_sets()))


def usable_instruction_sets():
    """Return the names of the instruction sets in this build that this machine supports, best first."""
    return tuple(instruction_sets_()[i].name.decode() for i in range(n_instruction_sets()) if instruction_sets_()[i].supported())


def current_instruction_set():
    """Return the name of the instruction set in use, and the bytes of its vectors."""
    return instruction_set().name.decode(), instruction_set().float32.vector_bytes


cdef choose_instruction_set(str wanted):
    usable = usable_instruction_sets()
    if wanted and wanted not in usable:
        raise ImportError(f"FASTNN_ISA={wanted!r} can't be used: this build has {', '.join(built_instruction_sets())}, "
                          f"of which this machine runs {', '.join(usable)}")
    for i in range(n_instruction_sets()):
        if instruction_sets_()[i].name.decode() == (wanted or usable[0]):
            use_instruction_set(&instruction_sets_()[i])


choose_instruction_set(os.environ.get("FASTNN_ISA", ""))

OPTIMIZER_MOMENTS = {name: instruction_set().float64.optimizer_moments(kind) for kind, name in enumerate(OPTIMIZERS)}


cdef inline const Kernels *kernels(int dtype) noexcept:
    return instruction_set().float32 if dtype == cnp.NPY_FLOAT32 else instruction_set().float64

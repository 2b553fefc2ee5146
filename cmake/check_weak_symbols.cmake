# Fails when an object of one instruction set defines a weak symbol (an inline function, a template instance).
#
# The linker keeps one definition of each weak symbol, from the instruction set that comes first. Before this check existed, the
# baseline ran code of AVX-512 because of one. All definitions of the kernels belong in anonymous namespaces.
#
#   cmake -DNM=<nm> -DISA=<name> -DOBJECTS=<a.o;b.o> -P check_weak_symbols.cmake

if(NOT NM OR APPLE)  # Apple's nm marks weak symbols by words
  return()
endif()

execute_process(COMMAND ${NM} -C --defined-only ${OBJECTS} OUTPUT_VARIABLE symbols RESULT_VARIABLE result ERROR_QUIET)
if(NOT result EQUAL 0)
  return()
endif()

# Lines of "<address> <class> <name>"; W and V are weak functions and objects, u is unique in the whole process.
string(REGEX MATCHALL "[0-9a-fA-F]+ [WVu] [^\n]+" weak "${symbols}")
# These are pointers to functions of the runtime, the same for all. Sanitizers need the pointer for exceptions.
list(FILTER weak EXCLUDE REGEX " DW\\.ref\\.")
if(weak)
  list(JOIN weak "\n  " weak)
  message(FATAL_ERROR "${ISA} defines symbols that the linker merges with those of other instruction sets:\n  ${weak}")
endif()

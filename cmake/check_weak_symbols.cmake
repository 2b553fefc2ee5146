# Fail if an object of one instruction set defines a weak symbol (an inline function or a template instance).
#
# The linker keeps one definition of each weak symbol, that of whichever instruction set comes first: without this check, the
# baseline once ran code of AVX-512. Kernels must therefore define everything in anonymous namespaces.
#
#   cmake -DNM=<nm> -DISA=<name> -DOBJECTS=<a.o;b.o> -P check_weak_symbols.cmake

if(NOT NM OR APPLE)  # Apple's nm marks weak symbols in another way
  return()
endif()

execute_process(COMMAND ${NM} -C --defined-only ${OBJECTS} OUTPUT_VARIABLE symbols RESULT_VARIABLE result ERROR_QUIET)
if(NOT result EQUAL 0)
  return()
endif()

# Lines of "<address> <class> <name>"; W and V are weak functions and objects, u is unique in the whole process.
string(REGEX MATCHALL "[0-9a-fA-F]+ [WVu] [^\n]+" weak "${symbols}")
# Pointers to functions of the runtime are the same for all; sanitizers need that of exceptions.
list(FILTER weak EXCLUDE REGEX " DW\\.ref\\.")
if(weak)
  list(JOIN weak "\n  " weak)
  message(FATAL_ERROR "Instruction set ${ISA} defines symbols that the linker merges with those of others:\n  ${weak}")
endif()

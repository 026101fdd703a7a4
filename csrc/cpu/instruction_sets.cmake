# The CPU kernels once for each instruction set, each in a namespace of its own; cpu/select.cpp chooses one.
# What several of them would share (inline functions, templates of std) must not be in them: the linker would pick
# one copy, which may need instructions that the machine lacks. So functions of headers outside of cpu/ are inlined
# always, exceptions are thrown by checks.cpp, and the plainest set is linked first.
set(INSTRUCTION_SETS baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND INSTRUCTION_SETS avx2 avx512)
endif()
set(FLAGS_baseline "")
set(FLAGS_avx2 -mavx2 -mfma -mf16c)
set(FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)

file(GLOB CPU_SOURCES CONFIGURE_DEPENDS cpu/*.cpp)
list(FILTER CPU_SOURCES EXCLUDE REGEX "/(select|checks)\\.cpp$")
foreach(set ${INSTRUCTION_SETS})
    add_library(cpu_${set} OBJECT ${CPU_SOURCES})
    target_compile_definitions(cpu_${set} PRIVATE HIGAN_FAST_ISA=${set})
    target_compile_options(cpu_${set} PRIVATE -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math
        ${FLAGS_${set}})
    target_link_libraries(cpu_${set} PRIVATE OpenMP::OpenMP_CXX)
    target_link_libraries(_extension PRIVATE cpu_${set})
endforeach()

# Links the extension for an older glibc, and for the libstdc++ of GCC 8: HIGAN_FAST_GLIBC=2.28 is what manylinux_2_28 asks.
#
# Objects are the same: which version of a function they take is decided when they are linked. zig (PyPI: ziglang) has the
# names of every glibc, and makes libraries of them. The newest libstdc++ is linked as ever, but for a few names.
if(HIGAN_FAST_GLIBC STREQUAL "")
    return()
endif()

set(STUBS "${CMAKE_CURRENT_BINARY_DIR}/glibc-${HIGAN_FAST_GLIBC}")
if(NOT EXISTS "${STUBS}/libc.so.6")
    file(WRITE "${STUBS}/empty.c" "")
    set(TARGET "${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.${HIGAN_FAST_GLIBC}")
    find_program(ZIG NAMES python-zig zig)
    if(NOT ZIG)
        message(FATAL_ERROR "HIGAN_FAST_GLIBC=${HIGAN_FAST_GLIBC} needs zig on PATH: pip install ziglang")
    endif()
    # pip hides the packages of the Python that runs it, and python-zig may be one of them.
    execute_process(
        COMMAND ${CMAKE_COMMAND} -E env --unset=PYTHONPATH "ZIG_GLOBAL_CACHE_DIR=${STUBS}/zig" "ZIG_LOCAL_CACHE_DIR=${STUBS}/zig"
                ${ZIG} cc -target ${TARGET} -shared "${STUBS}/empty.c" -o "${STUBS}/empty.so"
        RESULT_VARIABLE FAILED ERROR_VARIABLE WHY)
    file(GLOB_RECURSE LIBC "${STUBS}/zig/libc.so.6")
    if(FAILED OR NOT LIBC)
        message(FATAL_ERROR "HIGAN_FAST_GLIBC=${HIGAN_FAST_GLIBC}: ${ZIG} made no library for ${TARGET}\n${WHY}")
    endif()
    get_filename_component(MADE "${LIBC}" DIRECTORY)
    file(GLOB LIBRARIES "${MADE}/lib*.so.*")
    file(COPY ${LIBRARIES} DESTINATION "${STUBS}")
endif()
message(STATUS "higan_fast: linked for glibc ${HIGAN_FAST_GLIBC}")

add_library(older_runtimes STATIC older/older_runtimes.cpp)
# Nothing in it may be seen by other libraries of a process, and no library is left out for coming before what needs it.
target_link_options(_extension PRIVATE -nodefaultlibs LINKER:--exclude-libs,libolder_runtimes.a LINKER:--no-as-needed)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libc_nonshared.a
                OUTPUT_VARIABLE NONSHARED OUTPUT_STRIP_TRAILING_WHITESPACE)
# CMake adds CUDA's runtime, which needs all but the first two, after them.
target_link_libraries(_extension PRIVATE
    older_runtimes -lstdc++ -lgcc_s -lgcc "${NONSHARED}" "${STUBS}/libc.so.6" "${STUBS}/libm.so.6"
    "${STUBS}/libpthread.so.0" "${STUBS}/libdl.so.2" "${STUBS}/librt.so.1" "${STUBS}/libld.so.2")

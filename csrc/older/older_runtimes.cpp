// What GCC 11 and newer call and the libstdc++ of GCC 8 lacks, so that an extension of the former runs beside the latter
// (older.cmake). Each is small and made from what both have.
#include <exception>
#include <new>

// glibc 2.32 says here whether a process has one thread, for which libstdc++ counts references without atomics. 0: several.
extern "C" {
char __libc_single_threaded = 0;
}

// The constructor and destructor of exception_ptr are inline since GCC 11, and call the two functions below. Both are still
// exported as they were. Versioned names are always libstdc++'s, never the inline copies that this extension has.
asm(".symver copy_exception_ptr, _ZNSt15__exception_ptr13exception_ptrC1ERKS0_@CXXABI_1.3.3");
asm(".symver destroy_exception_ptr, _ZNSt15__exception_ptr13exception_ptrD1Ev@CXXABI_1.3.3");
extern "C" {
void copy_exception_ptr(void* to, const void* from);
void destroy_exception_ptr(void* pointer);
}

namespace std {

void __throw_bad_array_new_length() { throw bad_array_new_length(); }

namespace __exception_ptr {

void exception_ptr::_M_addref() noexcept {
    void* copy;
    copy_exception_ptr(&copy, this);  // counts one more; the copy itself needs no end
}

void exception_ptr::_M_release() noexcept {
    void* last = _M_exception_object;
    _M_exception_object = nullptr;
    destroy_exception_ptr(&last);
}

}  // namespace __exception_ptr
}  // namespace std

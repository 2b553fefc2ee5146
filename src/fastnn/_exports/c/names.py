"""The names that a C function may have."""

from __future__ import annotations

import re

_KEYWORDS = """
    alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor bool break case catch char
    char8_t char16_t char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit
    continue decltype default delete do double dynamic_cast else enum explicit export extern false float for fortran friend
    goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    reflexpr register reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct
    switch synchronized template this thread_local throw true try typedef typeid typename typeof typeof_unqual union
    unsigned using virtual void volatile wchar_t while xor xor_eq
    main linux unix i386
"""
# The functions of C's standard library, by header, without the variants of mathematical functions for float and long double.
_MATH = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin
    fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter
    nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc
    cabs cacos cacosh carg casin casinh catan catanh ccos ccosh cexp cimag clog conj cpow cproj creal csin csinh csqrt ctan
    ctanh
"""
_LIBRARY = """
    abort abs aligned_alloc at_quick_exit atexit atof atoi atol atoll bsearch calloc div exit free getenv labs ldiv
    llabs lldiv malloc mblen mbstowcs mbtowc qsort quick_exit rand realloc srand strtod strtof strtol strtold strtoll
    strtoul strtoull system wcstombs wctomb memchr memcmp memcpy memmove memset strcat strchr strcmp strcoll strcpy
    strcspn strerror strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtok strxfrm clearerr fclose feof
    ferror fflush fgetc fgetpos fgets fopen fprintf fputc fputs fread freopen fscanf fseek fsetpos ftell fwrite getc
    getchar gets perror printf putc putchar puts remove rename rewind scanf setbuf setvbuf snprintf sprintf sscanf
    tmpfile tmpnam ungetc vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf isalnum isalpha isblank iscntrl
    isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper asctime clock ctime difftime gmtime
    localtime mktime strftime time timespec_get signal raise longjmp setjmp localeconv setlocale feclearexcept fegetenv
    fegetexceptflag fegetround feholdexcept feraiseexcept fesetenv fesetexceptflag fesetround fetestexcept feupdateenv
    imaxabs imaxdiv strtoimax strtoumax errno assert
"""
_TAKEN = frozenset((_KEYWORDS + _LIBRARY).split()) | {word + suffix for word in _MATH.split() for suffix in ("", "f", "l")}


def check_name(name: str) -> None:
    """Raise an error if a C or C++ program can't define a function of this name."""
    expected = "name: expected an identifier of C, such as 'predict'"
    if not isinstance(name, str):
        raise TypeError(f"{expected}, got {name!r} of type {type(name).__name__}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{expected}, of letters, digits and underscores, got {name!r}")
    if name.startswith("_") or "__" in name:
        raise ValueError(f"{expected}, got {name!r}: names that begin with _ or contain __ are reserved for compilers")
    if name in _TAKEN:
        raise ValueError(f"{expected}, got {name!r}, which has a meaning in C or C++ already")

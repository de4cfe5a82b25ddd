/* Makes the operations on an audit directory fail as a broken disk would: loaded into pgward by LD_PRELOAD.
   The file $PGWARD_TEST_FAULT says what fails: "write 5", "sync 5", "all 30" with the error's number; without it nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The error's number where `what` fails on `path`, or 0. */
static int fault_at(const char *path, const char *what) {
    const char *file = getenv("PGWARD_TEST_FAULT");
    if (!file || !strstr(path, "/audit/")) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    char text[64];
    ssize_t n = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (n <= 0) return 0;
    text[n] = 0;
    char word[32];
    int number = 0;
    if (sscanf(text, "%31s %d", word, &number) != 2) return 0;
    return strcmp(word, "all") == 0 || strcmp(word, what) == 0 ? number : 0;
}

static int fault_of(int fd, const char *what) {
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return fault_at(path, what);
}

#define FAIL(number) do { int e = (number); if (e) { errno = e; return -1; } } while (0)

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    if (fd > 2) FAIL(fault_of(fd, "write"));
    return real(fd, bytes, count);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    FAIL(fault_of(fd, "sync"));
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    FAIL(fault_of(fd, "sync"));
    return real(fd);
}

int ftruncate64(int fd, off64_t length) {
    static int (*real)(int, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    FAIL(fault_of(fd, "write"));
    return real(fd, length);
}

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    if (!real) real = dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (flags & (O_WRONLY | O_RDWR | O_CREAT)) FAIL(fault_at(path, "open"));
    return real(path, flags, mode);
}

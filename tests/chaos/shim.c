/* SPDX-License-Identifier: Apache-2.0
 * LD_PRELOADed into a program under test: makes the disk fail and the clock step when the test says
 * so, by writing into the file that HOLDFAST_SHIM names (mapped here; no call ever waits for it).
 *   bytes  0..7   added to CLOCK_REALTIME, microseconds (int64, little-endian)
 *   bytes  8..11  errno of fsync, fdatasync, msync from now on; 0: none (int32)
 *   bytes 12..15  errno of pwrite, pwritev, write, writev to regular files; 0: none
 *   bytes 16..23  what statvfs says is free, bytes (int64); 0: the truth
 *   bytes 24..27  microseconds that every flush takes longer: fsync, fdatasync, msync with MS_SYNC,
 *                 and writes to files opened with O_DSYNC or O_SYNC (uint32); for measurements
 * Without the variable everything passes through.
 *
 * HOLDFAST_SHIM_DIE=disk:N ends the process by SIGKILL in its N-th call that changes a file or
 * makes it durable (the ones above, and names: rename, unlink, rmdir, remove), =names:N in the N-th
 * of those alone; N 0 counts them and says the number on stderr at the end.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
    volatile int64_t clock_us;
    volatile int32_t sync_errno;
    volatile int32_t write_errno;
    volatile int64_t free_bytes;
    volatile uint32_t flush_us;
};
static struct control none;
static struct control *control = &none;

__attribute__((constructor)) static void map_control(void)
{
    const char *path = getenv("HOLDFAST_SHIM");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p != MAP_FAILED)
        control = p;
}

/* ---- death at a chosen moment ---- */

static bool names_only;
static unsigned long die_at; /* 0: never */
static atomic_ulong calls;
static bool counting;

__attribute__((constructor)) static void read_death(void)
{
    const char *text = getenv("HOLDFAST_SHIM_DIE");
    if (!text || !strchr(text, ':'))
        return;
    counting = true;
    names_only = strncmp(text, "names", 5) == 0;
    die_at = strtoul(strchr(text, ':') + 1, NULL, 10);
}

__attribute__((destructor)) static void say_calls(void)
{
    if (counting)
        (void)fprintf(stderr, "shim: %lu calls\n", atomic_load(&calls));
}

static void count(bool name)
{
    if (counting && (name || !names_only) && atomic_fetch_add(&calls, 1) + 1 == die_at)
        (void)kill(getpid(), SIGKILL);
}

static void count_write(int fd)
{
    struct stat st;
    if (counting && !names_only && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        count(false);
}

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

static int fails(int32_t code)
{
    if (code)
        errno = code;
    return code != 0;
}

static int write_fails(int fd)
{
    struct stat st;
    return control->write_errno && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           fails(control->write_errno);
}

static void flush_slowly(void)
{
    const uint32_t us = control->flush_us;
    struct timespec left = {us / 1000000, us % 1000000 * 1000L};
    while (us && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* A write to a file that flushes each. LMDB writes its meta pages so. */
static void write_slowly(int fd)
{
    if (control->flush_us && (fcntl(fd, F_GETFL) & O_DSYNC)) /* O_SYNC has this bit, too */
        flush_slowly();
}

int fsync(int fd)
{
    REAL(fsync);
    count(false);
    flush_slowly();
    return fails(control->sync_errno) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    count(false);
    flush_slowly();
    return fails(control->sync_errno) ? -1 : real(fd);
}

int msync(void *p, size_t n, int flags)
{
    REAL(msync);
    count(false);
    if (flags & MS_SYNC)
        flush_slowly();
    return fails(control->sync_errno) ? -1 : real(p, n, flags);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    REAL(pwrite);
    count_write(fd);
    write_slowly(fd);
    return write_fails(fd) ? -1 : real(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
    REAL(write);
    count_write(fd);
    write_slowly(fd);
    return write_fails(fd) ? -1 : real(fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    REAL(writev);
    count_write(fd);
    write_slowly(fd);
    return write_fails(fd) ? -1 : real(fd, v, n);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    REAL(pwritev);
    count_write(fd);
    write_slowly(fd);
    return write_fails(fd) ? -1 : real(fd, v, n, at);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    count(true);
    return real(from, to);
}

int unlink(const char *path)
{
    REAL(unlink);
    count(true);
    return real(path);
}

int rmdir(const char *path)
{
    REAL(rmdir);
    count(true);
    return real(path);
}

int remove(const char *path)
{
    REAL(remove);
    count(true);
    return real(path);
}

int statvfs(const char *restrict path, struct statvfs *restrict v)
{
    REAL(statvfs);
    const int rv = real(path, v);
    if (rv == 0 && control->free_bytes)
        v->f_bavail = (fsblkcnt_t)control->free_bytes / v->f_frsize;
    return rv;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    REAL(clock_gettime);
    const int rv = real(id, t);
    if (rv == 0 && id == CLOCK_REALTIME && control->clock_us) {
        int64_t us = t->tv_sec * INT64_C(1000000) + t->tv_nsec / 1000 + control->clock_us;
        t->tv_sec = us / 1000000;
        t->tv_nsec = us % 1000000 * 1000;
    }
    return rv;
}

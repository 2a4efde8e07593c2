/*
 * A disk that hangs, for LD_PRELOAD: calls on paths below BRONZE_STALL_BELOW, and on descriptors of such files, wait as
 * long as the file BRONZE_STALL_WHILE exists, as a call waits on a dead NFS server or a failing disk. The first wait of
 * each kind of call leaves a file BRONZE_STALL_WHILE.<call>, so that a test knows that it was met. Afterwards the real
 * call is made: nothing is lost, changed or refused. Paths are compared as they are given, so they have to be absolute.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int stalls(const char **flag) {
  *flag = getenv("BRONZE_STALL_WHILE");
  return *flag != NULL && getenv("BRONZE_STALL_BELOW") != NULL && access(*flag, F_OK) == 0;
}

static void wait_on(const char *call, const char *path, const char *flag) {
  const char *below = getenv("BRONZE_STALL_BELOW");
  if (path == NULL || strncmp(path, below, strlen(below)) != 0) return;
  char met[4096];
  snprintf(met, sizeof met, "%s.%s", flag, call);
  int fd = REAL(open)(met, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd >= 0) close(fd);
  const struct timespec pause = {0, 5000000};
  while (access(flag, F_OK) == 0) nanosleep(&pause, NULL);
}

static void wait_path(const char *call, const char *path) {
  const int before = errno;
  const char *flag;
  if (stalls(&flag)) wait_on(call, path, flag);
  errno = before;
}

static void wait_fd(const char *call, int fd) {
  const int before = errno;
  const char *flag;
  if (stalls(&flag)) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
      path[length] = '\0';
      wait_on(call, path, flag);
    }
  }
  errno = before;
}

#define OPEN(name)                                     \
  int name(const char *path, int flags, ...) {         \
    va_list more;                                      \
    va_start(more, flags);                             \
    const mode_t mode = va_arg(more, mode_t);          \
    va_end(more);                                      \
    wait_path("open", path);                           \
    return REAL(name)(path, flags, mode);              \
  }
OPEN(open)
OPEN(open64)

#define ON_FD(call, type, name, parameters, arguments) \
  type name parameters {                               \
    wait_fd(call, fd);                                 \
    return REAL(name) arguments;                       \
  }
ON_FD("read", ssize_t, read, (int fd, void *to, size_t n), (fd, to, n))
ON_FD("read", ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
ON_FD("read", ssize_t, pread64, (int fd, void *to, size_t n, off64_t at), (fd, to, n, at))
ON_FD("write", ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n))
ON_FD("write", ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at))
ON_FD("write", ssize_t, pwrite64, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at))
ON_FD("fsync", int, fsync, (int fd), (fd))
ON_FD("fsync", int, fdatasync, (int fd), (fd))

#define ON_PATH(name, parameters, arguments)           \
  int name parameters {                                \
    wait_path(#name, path);                            \
    return REAL(name) arguments;                       \
  }
#define ON_PATHS(name)                                 \
  int name(const char *path, const char *to) {         \
    wait_path(#name, path);                            \
    wait_path(#name, to);                              \
    return REAL(name)(path, to);                       \
  }
ON_PATHS(link)
ON_PATHS(rename)
ON_PATH(unlink, (const char *path), (path))
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))

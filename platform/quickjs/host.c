/*
 * xdevd's host for the QuickJS engine: system calls by name, children, time, and the parts of the
 * program, which are loaded when they are needed. All else is TypeScript, beside this file.
 *
 * Whatever JavaScript passes is checked here: an integer is one, a path ends within its memory, the
 * kernel is given the length of just the memory that was passed, and no number is taken for an address.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quickjs.h>
#ifndef __SANITIZE_ADDRESS__
#include "allocator.h"
#endif
#include "ioctls.h"
#include "parts.h"
#include "unpack.h"

extern char **environ;

/* The engine has it, and does not say so in its header. */
JS_BOOL JS_IsUncatchableError(JSContext *c, JSValueConst value);

/* Memory that is loaded is no garbage: the collector need not look at it. In bytes. */
#define LOADING_THRESHOLD (64 << 20)
/* How deep a program may recurse, in bytes; the kernel gives a main thread 8 MiB. */
#define STACK_SIZE (2 << 20)
/* The exit code of a program that failed by a fault of its own (sysexits.h, EX_SOFTWARE). */
#define EXIT_FAULT 70

/* ---- reports ---------------------------------------------------------------------------------- */

static void report(JSContext *c, JSValue error) {
  JSValue stack = JS_IsObject(error) ? JS_GetPropertyStr(c, error, "stack") : JS_UNDEFINED;
  const char *text = JS_ToCString(c, error), *lines = JS_ToCString(c, stack);
  fprintf(stderr, "xdevd: %s\n%s", text ? text : "an error without a text",
          lines && !JS_IsUndefined(stack) ? lines : "");
  JS_FreeCString(c, text);
  JS_FreeCString(c, lines);
  JS_FreeValue(c, stack);
  JS_FreeValue(c, error);
}

/* ---- arguments -------------------------------------------------------------------------------- */

/* The kernel's `long` on any machine. */
static int integer(JSContext *c, JSValueConst v, int64_t *out) {
  int tag = JS_VALUE_GET_NORM_TAG(v);
  if (tag == JS_TAG_INT) {
    *out = JS_VALUE_GET_INT(v);
    return 0;
  }
  if (tag == JS_TAG_FLOAT64) {
    double d = JS_VALUE_GET_FLOAT64(v);
    if (d >= -9007199254740991.0 && d <= 9007199254740991.0 && d == (double)(int64_t)d) {
      *out = (int64_t)d;
      return 0;
    }
  }
  JS_ThrowTypeError(c, "an integer is expected");
  return -1;
}

static int small_integer(JSContext *c, JSValueConst v, int *out) {
  int64_t wide;
  if (integer(c, v, &wide)) return -1;
  if (wide < INT32_MIN || wide > INT32_MAX) {
    JS_ThrowRangeError(c, "an integer of 32 bits is expected");
    return -1;
  }
  *out = (int)wide;
  return 0;
}

/* The bytes of a Uint8Array; one whose buffer was detached has none, which is an error. */
static int memory(JSContext *c, JSValueConst v, uint8_t **at, size_t *size) {
  size_t offset, length, each, whole;
  JSValue buffer = JS_GetTypedArrayBuffer(c, v, &offset, &length, &each);
  if (JS_IsException(buffer)) return -1;
  uint8_t *start = JS_GetArrayBuffer(c, &whole, buffer);
  JS_FreeValue(c, buffer);
  if (start == NULL) return -1;
  if (each != 1 || offset > whole || length > whole - offset) {
    JS_ThrowTypeError(c, "bytes are expected");
    return -1;
  }
  *at = start + offset;
  *size = length;
  return 0;
}

/* A path or another text: it ends with a NUL within its bytes. */
static const char *text(JSContext *c, JSValueConst v) {
  uint8_t *at;
  size_t size;
  if (memory(c, v, &at, &size)) return NULL;
  if (memchr(at, 0, size) == NULL) {
    JS_ThrowTypeError(c, "a text that ends with a NUL is expected");
    return NULL;
  }
  return (const char *)at;
}

static JSValue answer(JSContext *c, int64_t result) {
  return JS_NewInt64(c, result < 0 ? -errno : result);
}

/* ---- system calls by name --------------------------------------------------------------------- */

/*
 * Arguments by letters: i an integer, p a path, m memory and behind it its length, o the same or none
 * (null), s memory of the size that stands in the row, 0 an argument that is always 0.
 */
struct call {
  const char *name, *arguments;
  long number;
  uint16_t size;
};

#ifdef SYS_fchown32
#define FCHOWN SYS_fchown32
#else
#define FCHOWN SYS_fchown
#endif

static const struct call calls[] = {
  {"accept", "i00i", SYS_accept4, 0},
  {"access", "ipi", SYS_faccessat, 0},
  {"bind", "im", SYS_bind, 0},
  {"chdir", "p", SYS_chdir, 0},
  {"close", "i", SYS_close, 0},
  {"connect", "im", SYS_connect, 0},
  {"fchmod", "ii", SYS_fchmod, 0},
  {"fchown", "iii", FCHOWN, 0},
  {"flock", "ii", SYS_flock, 0},
  {"getcwd", "m", SYS_getcwd, 0},
  {"getdents", "im", SYS_getdents64, 0},
  {"geteuid", "", SYS_geteuid, 0},
  {"getpid", "", SYS_getpid, 0},
  {"getrandom", "mi", SYS_getrandom, 0},
  {"kill", "ii", SYS_kill, 0},
  {"link", "ipip0", SYS_linkat, 0},
  {"listen", "ii", SYS_listen, 0},
  {"mkdir", "ipi", SYS_mkdirat, 0},
  {"mount", "pppi0", SYS_mount, 0},
  {"open", "ipii", SYS_openat, 0},
  {"pipe", "si", SYS_pipe2, 8},
  {"read", "im", SYS_read, 0},
  {"readlink", "ipm", SYS_readlinkat, 0},
  {"recv", "imi00", SYS_recvfrom, 0},
  {"rename", "ipip0", SYS_renameat2, 0},
  {"send", "imio", SYS_sendto, 0},
  {"setsockopt", "iiim", SYS_setsockopt, 0},
  {"shutdown", "ii", SYS_shutdown, 0},
  {"socket", "iii", SYS_socket, 0},
  {"stat", "ipiis", SYS_statx, 256},
  {"symlink", "pip", SYS_symlinkat, 0},
  {"umask", "i", SYS_umask, 0},
  {"unlink", "ipi", SYS_unlinkat, 0},
  {"unmount", "pi", SYS_umount2, 0},
  {"unshare", "i", SYS_unshare, 0},
  {"write", "im", SYS_write, 0},
};

static JSValue system_call(JSContext *c, JSValueConst self, int n, JSValueConst *v, int magic) {
  const struct call *call = &calls[magic];
  long a[6] = {0};
  int used = 0, given = 0;
  for (const char *letter = call->arguments; *letter; letter++) {
    if (*letter == '0') {
      a[used++] = 0;
      continue;
    }
    if (given >= n) return JS_ThrowTypeError(c, "%s: too few arguments", call->name);
    JSValueConst value = v[given++];
    uint8_t *at;
    size_t size;
    int64_t number;
    switch (*letter) {
      case 'i':
        if (integer(c, value, &number)) return JS_EXCEPTION;
        a[used++] = (long)number;
        break;
      case 'p':
        if ((at = (uint8_t *)text(c, value)) == NULL) return JS_EXCEPTION;
        a[used++] = (long)at;
        break;
      case 'o':
        if (JS_IsNull(value)) {
          used += 2;
          break;
        }
        /* fall through */
      case 'm':
        if (memory(c, value, &at, &size)) return JS_EXCEPTION;
        a[used++] = (long)at;
        a[used++] = (long)size;
        break;
      case 's':
        if (memory(c, value, &at, &size)) return JS_EXCEPTION;
        if (size < call->size) return JS_ThrowRangeError(c, "%s: too little memory", call->name);
        a[used++] = (long)at;
        break;
    }
  }
  return answer(c, syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* Where a position in a file takes two registers on small machines, the C library knows. */
static JSValue sys_pwrite(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd;
  uint8_t *at;
  size_t size;
  int64_t position;
  if (small_integer(c, v[0], &fd) || memory(c, v[1], &at, &size) || integer(c, v[2], &position))
    return JS_EXCEPTION;
  return answer(c, pwrite(fd, at, size, position));
}

static JSValue sys_pread(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd;
  uint8_t *at;
  size_t size;
  int64_t position;
  if (small_integer(c, v[0], &fd) || memory(c, v[1], &at, &size) || integer(c, v[2], &position))
    return JS_EXCEPTION;
  return answer(c, pread(fd, at, size, position));
}

static JSValue sys_ftruncate(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd;
  int64_t length;
  if (small_integer(c, v[0], &fd) || integer(c, v[1], &length)) return JS_EXCEPTION;
  return answer(c, ftruncate(fd, length));
}

/* Commands that take an integer: any other takes an address. */
static JSValue sys_fcntl(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, command, argument;
  if (small_integer(c, v[0], &fd) || small_integer(c, v[1], &command) ||
      small_integer(c, v[2], &argument))
    return JS_EXCEPTION;
  switch (command) {
    case F_DUPFD_CLOEXEC: case F_GETFD: case F_SETFD: case F_GETFL: case F_SETFL:
      return answer(c, fcntl(fd, command, argument));
  }
  return JS_ThrowRangeError(c, "fcntl: command %d is not one of those that are used", command);
}

/* Requests that ioctls.h has, with as much memory as they take, or an integer. */
static JSValue sys_ioctl(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd;
  int64_t request;
  if (small_integer(c, v[0], &fd) || integer(c, v[1], &request)) return JS_EXCEPTION;
  for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++) {
    if (ioctls[i].request != (uint64_t)request) continue;
    if (ioctls[i].size == 0) {
      int argument;
      if (small_integer(c, v[2], &argument)) return JS_EXCEPTION;
      return answer(c, ioctl(fd, request, (long)argument));
    }
    uint8_t *at;
    size_t size;
    if (memory(c, v[2], &at, &size)) return JS_EXCEPTION;
    uint64_t needed = ioctls[i].size;
    if (ioctls[i].each > 0 && size >= needed) {
      uint32_t count;
      memcpy(&count, at, sizeof count);
      needed += (uint64_t)count * ioctls[i].each;
    }
    if (size < needed) return JS_ThrowRangeError(c, "ioctl: too little memory");
    return answer(c, ioctl(fd, request, at));
  }
  return JS_ThrowRangeError(c, "ioctl: request %lld is not one of those that are used",
                            (long long)request);
}

/* xen/gntdev.h and xen/grant_table.h, which not every machine that compiles this has. */
struct grant_copy_segment {
  union {
    void *here;
    struct {
      uint32_t reference;
      uint16_t offset, domid;
    } there;
  } source, dest;
  uint16_t length, flags;
  int16_t status;
};
struct grant_copy {
  unsigned int count;
  struct grant_copy_segment *segments;
};
#define GRANT_COPY _IOC(_IOC_NONE, 'G', 8, sizeof(struct grant_copy))
enum { GNTCOPY_SOURCE = 1, GNTCOPY_DEST = 2 };

/* grantCopy(fd, domid, reference, offset, memory, toGuest): of one piece of one page */
static JSValue sys_grant_copy(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, domid, offset, to_guest;
  int64_t reference;
  uint8_t *at;
  size_t size;
  if (small_integer(c, v[0], &fd) || small_integer(c, v[1], &domid) || integer(c, v[2], &reference) ||
      small_integer(c, v[3], &offset) || memory(c, v[4], &at, &size) ||
      small_integer(c, v[5], &to_guest))
    return JS_EXCEPTION;
  if (domid < 0 || domid > 0x7fff || reference < 0 || reference > UINT32_MAX || offset < 0 ||
      offset > 4096 || size > 4096u - offset)
    return JS_ThrowRangeError(c, "grantCopy: a piece of one page is expected");
  struct grant_copy_segment segment = {.length = size, .flags = to_guest ? GNTCOPY_DEST : GNTCOPY_SOURCE};
  struct grant_copy copy = {1, &segment};
  *(to_guest ? &segment.source.here : &segment.dest.here) = at;
  if (to_guest) {
    segment.dest.there.reference = reference;
    segment.dest.there.offset = offset;
    segment.dest.there.domid = domid;
  } else {
    segment.source.there.reference = reference;
    segment.source.there.offset = offset;
    segment.source.there.domid = domid;
  }
  int result = ioctl(fd, GRANT_COPY, &copy);
  if (result >= 0 && segment.status != 0) {
    errno = EFAULT;
    result = -1;
  }
  return answer(c, result);
}

/* setgroups(), setresgid(group), setresuid(user): to none, and to all three the same; there is one thread */
#ifdef SYS_setresuid32
#define SET_GROUPS SYS_setgroups32
#define SET_GROUP SYS_setresgid32
#define SET_USER SYS_setresuid32
#else
#define SET_GROUPS SYS_setgroups
#define SET_GROUP SYS_setresgid
#define SET_USER SYS_setresuid
#endif

static JSValue sys_setgroups(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  return answer(c, syscall(SET_GROUPS, 0, NULL));
}

static JSValue sys_setid(JSContext *c, JSValueConst self, int n, JSValueConst *v, int is_user) {
  int id;
  if (small_integer(c, v[0], &id)) return JS_EXCEPTION;
  return answer(c, syscall(is_user ? SET_USER : SET_GROUP, id, id, id));
}

/* Options that take an integer: others take an address. */
static JSValue sys_prctl(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int option, value;
  if (small_integer(c, v[0], &option) || small_integer(c, v[1], &value)) return JS_EXCEPTION;
  switch (option) {
    case PR_SET_CHILD_SUBREAPER: case PR_SET_PDEATHSIG: case PR_SET_NO_NEW_PRIVS:
      return answer(c, prctl(option, (long)value, 0, 0, 0));
  }
  return JS_ThrowRangeError(c, "prctl: option %d is not one of those that are used", option);
}

/* exec(file, argv, environment): this process becomes another program; -errno if it does not */
static char **list_of(JSContext *c, JSValueConst v);
static JSValue host_exec(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  const char *file = text(c, v[0]);
  if (file == NULL) return JS_EXCEPTION;
  char **argv = list_of(c, v[1]), **environment = argv == NULL ? NULL : list_of(c, v[2]);
  if (environment == NULL) {
    free(argv);
    return JS_EXCEPTION;
  }
  sigset_t none, before;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, &before);
  execve(file, argv, environment);
  int code = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  free(argv);
  free(environment);
  errno = code;
  return answer(c, -1);
}

static JSValue sys_dup2(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int from, to;
  if (small_integer(c, v[0], &from) || small_integer(c, v[1], &to)) return JS_EXCEPTION;
  return answer(c, dup2(from, to));
}

/*
 * SIG_DFL or SIG_IGN, by the kernel's own call: the C library keeps some signals to itself, and takes no
 * orders for them. The kernel's structure is four longs at most, and the mask of 64 signals.
 */
static int set_action(int number, unsigned long action) {
  const unsigned long structure[8] = {action};
  return syscall(SYS_rt_sigaction, number, structure, NULL, (size_t)8);
}

static JSValue sys_ignore(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int number;
  if (small_integer(c, v[0], &number)) return JS_EXCEPTION;
  return answer(c, set_action(number, (unsigned long)SIG_IGN));
}

/* getsockopt(fd, level, name, memory): how many bytes it wrote */
static JSValue sys_getsockopt(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, level, name;
  uint8_t *at;
  size_t size;
  if (small_integer(c, v[0], &fd) || small_integer(c, v[1], &level) ||
      small_integer(c, v[2], &name) || memory(c, v[3], &at, &size))
    return JS_EXCEPTION;
  socklen_t length = size > 4096 ? 4096 : size;
  int result = getsockopt(fd, level, name, at, &length);
  return answer(c, result < 0 ? result : (int64_t)length);
}

/* poll(fd, events, ms): the events that came, 0 when the time was up */
static JSValue sys_poll(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, events, ms;
  if (small_integer(c, v[0], &fd) || small_integer(c, v[1], &events) || small_integer(c, v[2], &ms))
    return JS_EXCEPTION;
  struct pollfd one = {.fd = fd, .events = events};
  int result = poll(&one, 1, ms);
  return answer(c, result > 0 ? one.revents : result);
}

static void unmap_memory(JSRuntime *rt, void *size, void *at) { munmap(at, (size_t)size); }

/* map(fd, size, protection, offset): shared memory as an ArrayBuffer, or -errno */
static JSValue sys_map(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, protection;
  int64_t size, offset;
  if (small_integer(c, v[0], &fd) || integer(c, v[1], &size) ||
      small_integer(c, v[2], &protection) || integer(c, v[3], &offset))
    return JS_EXCEPTION;
  if (size <= 0 || size > (1 << 30)) return JS_ThrowRangeError(c, "map: a size up to 1 GiB is expected");
  if (protection & ~(PROT_READ | PROT_WRITE)) return JS_ThrowRangeError(c, "map: protection");
  void *at = mmap(NULL, size, protection, MAP_SHARED, fd, offset);
  if (at == MAP_FAILED) return answer(c, -1);
  return JS_NewArrayBuffer(c, at, size, unmap_memory, (void *)(size_t)size, 0);
}

/* unmap(buffer): whoever uses it afterwards gets an error of the language */
static JSValue sys_unmap(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  JS_DetachArrayBuffer(c, v[0]);
  return JS_NewInt32(c, 0);
}

/* ---- the event loop's ------------------------------------------------------------------------- */

static int poller = -1;

/* watch(fd, events): level-triggered; events of EPOLL…, 0 ends it */
static JSValue host_watch(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int fd, events;
  if (small_integer(c, v[0], &fd) || small_integer(c, v[1], &events)) return JS_EXCEPTION;
  if (poller < 0 && (poller = epoll_create1(EPOLL_CLOEXEC)) < 0) return answer(c, -1);
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (events == 0) return answer(c, epoll_ctl(poller, EPOLL_CTL_DEL, fd, &event));
  int result = epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event);
  if (result < 0 && errno == ENOENT) result = epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
  return answer(c, result);
}

#define READY_MAX 64

/* wait(memory, ms): how many are ready; the memory has their descriptor and events, 32 bits each */
static JSValue host_wait(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  uint8_t *at;
  size_t size;
  int ms;
  if (memory(c, v[0], &at, &size) || small_integer(c, v[1], &ms)) return JS_EXCEPTION;
  if (poller < 0 && (poller = epoll_create1(EPOLL_CLOEXEC)) < 0) return answer(c, -1);
  struct epoll_event ready[READY_MAX];
  int most = size / 8 > READY_MAX ? READY_MAX : (int)(size / 8);
  int count = epoll_wait(poller, ready, most > 0 ? most : 1, ms);
  for (int i = 0; i < count && i < most; i++) {
    int32_t pair[2] = {ready[i].data.fd, (int32_t)ready[i].events};
    memcpy(at + 8 * i, pair, sizeof pair);
  }
  return answer(c, count);
}

static int signals = -1;

/* signals(numbers): these are held back from now on; the descriptor that tells of them */
static JSValue host_signals(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  uint8_t *at;
  size_t size;
  if (memory(c, v[0], &at, &size)) return JS_EXCEPTION;
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < size; i++) sigaddset(&set, at[i]);
  if (sigprocmask(SIG_SETMASK, &set, NULL) < 0) return answer(c, -1);
  int fd = signalfd(signals, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd >= 0) signals = fd;
  return answer(c, fd);
}

static JSValue host_now(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return JS_NewFloat64(c, (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6);
}

/* ---- children --------------------------------------------------------------------------------- */

/* Texts one behind the other, a NUL after each, as a list for execve; NULL when they are not that. */
static char **list_of(JSContext *c, JSValueConst v) {
  uint8_t *at;
  size_t size, count = 0;
  if (memory(c, v, &at, &size)) return NULL;
  if (size > 0 && at[size - 1] != 0) {
    JS_ThrowTypeError(c, "texts that end with a NUL are expected");
    return NULL;
  }
  for (size_t i = 0; i < size; i++) count += at[i] == 0;
  char **list = malloc((count + 1) * sizeof *list);
  if (list == NULL) {
    JS_ThrowOutOfMemory(c);
    return NULL;
  }
  char *next = (char *)at;
  for (size_t i = 0; i < count; i++) {
    list[i] = next;
    next += strlen(next) + 1;
  }
  list[count] = NULL;
  return list;
}

/* What a child does before its program; the same numbers stand in children.ts. */
enum { SESSION = 1, NO_NEW_PRIVILEGES = 2, OWN_MOUNTS = 4 };

struct child {
  char **argv, **environment;
  const char *directory;
  int fds[4], steps, user, group;
};

/* In the child, which shares this memory until its program runs: nothing here may allocate. */
static int become(const struct child *child) {
  for (int number = 1; number < NSIG; number++) set_action(number, (unsigned long)SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (child->steps & SESSION) setsid();
  int high[4];
  for (int i = 0; i < 4; i++) {
    int from = child->fds[i];
    if (from < 0 && i < 3 && (from = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0) return errno;
    high[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 16);
    if (from >= 0 && high[i] < 0) return errno;
  }
  for (int i = 0; i < 4; i++) if (high[i] >= 0 && dup2(high[i], i) < 0) return errno;
  /* Whatever was inherited without close-on-exec. */
  syscall(SYS_close_range, high[3] >= 0 ? 4 : 3, ~0U, 0);
  if (child->steps & OWN_MOUNTS) {
    if (unshare(CLONE_NEWNS) < 0) return errno;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return errno;
  }
  if (chdir(child->directory) < 0) return errno;
  if (child->group >= 0) {
    if (syscall(SET_GROUPS, 0, NULL) < 0) return errno;
    if (syscall(SET_GROUP, child->group, child->group, child->group) < 0) return errno;
  }
  if (child->user >= 0 && syscall(SET_USER, child->user, child->user, child->user) < 0)
    return errno;
  if (child->steps & NO_NEW_PRIVILEGES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
  execve(child->argv[0], child->argv, child->environment);
  return errno;
}

/* spawn(argv, environment, directory, in, out, error, three, steps, user, group): pid or -errno */
static JSValue host_spawn(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  struct child child = {0};
  for (int i = 0; i < 4; i++) if (small_integer(c, v[3 + i], &child.fds[i])) return JS_EXCEPTION;
  if (small_integer(c, v[7], &child.steps) || small_integer(c, v[8], &child.user) ||
      small_integer(c, v[9], &child.group))
    return JS_EXCEPTION;
  if ((child.directory = text(c, v[2])) == NULL) return JS_EXCEPTION;
  if ((child.argv = list_of(c, v[0])) == NULL) return JS_EXCEPTION;
  if ((child.environment = list_of(c, v[1])) == NULL) {
    free(child.argv);
    return JS_EXCEPTION;
  }
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  volatile int failure = 0;
  pid_t pid = child.argv[0] == NULL ? (errno = EINVAL, -1) : vfork();
  if (pid == 0) {
    failure = become(&child);
    _exit(127);
  }
  int code = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  free(child.argv);
  free(child.environment);
  if (pid > 0 && failure != 0) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    errno = failure;
    return answer(c, -1);
  }
  errno = code;
  return answer(c, pid);
}

/* ended(): [pid, status] of a child that has ended, null when there is none */
static JSValue host_ended(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int status;
  pid_t pid = waitpid(-1, &status, WNOHANG);
  if (pid <= 0) return JS_NULL;
  JSValue pair = JS_NewArray(c);
  JS_SetPropertyUint32(c, pair, 0, JS_NewInt32(c, pid));
  JS_SetPropertyUint32(c, pair, 1, JS_NewInt32(c, status));
  return pair;
}

static JSValue host_exit(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int code;
  if (small_integer(c, v[0], &code)) return JS_EXCEPTION;
  _exit(code);
}

/* ---- texts ------------------------------------------------------------------------------------ */

/* Whether bytes are UTF-8 as the Unicode standard has it (table 3-7): no surrogates, nothing long. */
static int is_utf8(const uint8_t *s, size_t size) {
  for (size_t i = 0; i < size;) {
    uint8_t b = s[i];
    if (b < 0x80) {
      i++;
      continue;
    }
    int more = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : 1;
    if (b < 0xc2 || b > 0xf4 || size - i <= (size_t)more) return 0;
    uint8_t low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    uint8_t high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    if (s[i + 1] < low || s[i + 1] > high) return 0;
    for (int k = 2; k <= more; k++) if ((s[i + k] & 0xc0) != 0x80) return 0;
    i += more + 1;
  }
  return 1;
}

/* text(bytes): the text whose UTF-8 they are, null when they are none */
static JSValue host_text(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  uint8_t *at;
  size_t size;
  if (memory(c, v[0], &at, &size)) return JS_EXCEPTION;
  return is_utf8(at, size) ? JS_NewStringLen(c, (const char *)at, size) : JS_NULL;
}

/* utf8(text): its UTF-8 as an ArrayBuffer; the text is well-formed */
static JSValue host_utf8(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  size_t size;
  const char *s = JS_ToCStringLen(c, &size, v[0]);
  if (s == NULL) return JS_EXCEPTION;
  JSValue buffer = JS_NewArrayBufferCopy(c, (const uint8_t *)s, size);
  JS_FreeCString(c, s);
  return buffer;
}

/* ---- running, and its limit ------------------------------------------------------------------- */

static double limit_ms, deadline;

static double monotonic(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int is_over(JSRuntime *rt, void *unused) { return deadline > 0 && monotonic() > deadline; }

static void begin_run(void) { deadline = limit_ms > 0 ? monotonic() + limit_ms : 0; }

/* limit(ms): the longest that anything may run before it waits again; 0 for ever */
static JSValue host_limit(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int ms;
  if (small_integer(c, v[0], &ms)) return JS_EXCEPTION;
  limit_ms = ms;
  begin_run();
  return JS_UNDEFINED;
}

/*
 * bounded(fn): calls it, with the whole time for itself, and as much for the caller after it; that its
 * time is up can be caught like any other error of its
 */
static JSValue host_bounded(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  begin_run();
  JSValue result = JS_Call(c, v[0], JS_UNDEFINED, 0, NULL);
  begin_run();
  if (!JS_IsException(result)) return result;
  JSValue error = JS_GetException(c);
  if (JS_IsUncatchableError(c, error)) JS_SetUncatchableError(c, error, 0);
  return JS_Throw(c, error);
}

/* catchable(error): the same, of one that a promise was rejected with */
static JSValue host_catchable(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  if (JS_IsUncatchableError(c, v[0])) JS_SetUncatchableError(c, v[0], 0);
  return JS_DupValue(c, v[0]);
}

/* Rejections that nobody has handled yet. */
static struct { JSValue promise, reason; } rejections[64];
static int rejected;

static void on_rejection(JSContext *c, JSValueConst promise, JSValueConst reason, JS_BOOL handled,
                         void *unused) {
  if (!handled) {
    if (rejected == sizeof rejections / sizeof *rejections) return;
    rejections[rejected].promise = JS_DupValue(c, promise);
    rejections[rejected++].reason = JS_DupValue(c, reason);
    return;
  }
  for (int i = 0; i < rejected; i++) {
    if (JS_VALUE_GET_PTR(rejections[i].promise) != JS_VALUE_GET_PTR(promise)) continue;
    JS_FreeValue(c, rejections[i].promise);
    JS_FreeValue(c, rejections[i].reason);
    rejections[i] = rejections[--rejected];
    return;
  }
}

/* What escaped from a turn or a job ends the program, unless its time was up: that was told, and is over. */
static void escaped(JSContext *c) {
  JSValue error = JS_GetException(c);
  int interrupted = JS_IsUncatchableError(c, error);
  report(c, error);
  if (!interrupted) _exit(EXIT_FAULT);
}

static void run_jobs(JSRuntime *rt, JSContext *c) {
  for (;;) {
    JSContext *of;
    begin_run();
    int result = JS_ExecutePendingJob(rt, &of);
    if (result == 0) break;
    if (result < 0) escaped(of);
  }
  if (rejected > 0) {
    report(c, JS_DupValue(c, rejections[0].reason));
    _exit(EXIT_FAULT);
  }
}

static JSValue host_jobs(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  run_jobs(JS_GetRuntime(c), c);
  begin_run();
  return JS_UNDEFINED;
}

/* ---- memory ----------------------------------------------------------------------------------- */

static JSValue host_collect(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  JS_RunGC(JS_GetRuntime(c));
  return JS_UNDEFINED;
}

/* threshold(bytes): how much may be allocated before garbage is looked for */
static JSValue host_threshold(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  int64_t bytes;
  if (integer(c, v[0], &bytes)) return JS_EXCEPTION;
  JS_SetGCThreshold(JS_GetRuntime(c), bytes);
  return JS_UNDEFINED;
}

static JSValue host_used(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  JSMemoryUsage usage;
  JS_ComputeMemoryUsage(JS_GetRuntime(c), &usage);
  return JS_NewInt64(c, usage.memory_used_size);
}

/* ---- the program's parts, and plugins --------------------------------------------------------- */

static const struct part *part_of(const char *name) {
  for (const struct part *part = parts; part->name != NULL; part++)
    if (strcmp(part->name, name) == 0) return part;
  return NULL;
}

/* The module that a part is. */
static JSValue read_part(JSContext *c, const struct part *part) {
  uint8_t *bytes = js_malloc(c, part->size);
  if (bytes == NULL) return JS_EXCEPTION;
  JSValue module = unpack(part->start, part->end, bytes, part->size) < 0
                       ? JS_ThrowInternalError(c, "part %s of the program is damaged", part->name)
                       : JS_ReadObject(c, bytes, part->size, JS_READ_OBJ_BYTECODE);
  js_free(c, bytes);
  return module;
}

/*
 * Whether code is the program's own, by the name that it imports under: a part, or one of our files, which are
 * relative to the sources. A plugin's is absolute (host_module), and what `eval` runs is called <so>.
 */
static int is_own(const char *base) {
  return part_of(base) != NULL || (base[0] != '/' && base[0] != '<' && base[0] != 0);
}

/* Parts import one another by file name; a plugin may import `xdevd/plugin` and nothing else. */
static char *normalize(JSContext *c, const char *base, const char *name, void *unused) {
  const char *wanted = name;
  if (is_own(base)) {
    if (strncmp(wanted, "./", 2) == 0) wanted += 2;
    if (part_of(wanted) != NULL) return js_strdup(c, wanted);
    JS_ThrowReferenceError(c, "there is no part %s of the program", wanted);
    return NULL;
  }
  if (strcmp(name, "xdevd/plugin") == 0) return js_strdup(c, PLUGIN_PART);
  JS_ThrowReferenceError(c, "%s imports %s: a plugin in one file imports xdevd/plugin and nothing else",
                         base, name);
  return NULL;
}

static JSModuleDef *load(JSContext *c, const char *name, void *unused) {
  const struct part *part = part_of(name);
  if (part == NULL) {
    JS_ThrowReferenceError(c, "there is no part %s of the program", name);
    return NULL;
  }
  JSValue module = read_part(c, part);
  if (JS_IsException(module)) return NULL;
  return JS_VALUE_GET_PTR(module);
}

/* module(bytes, path): [promise of its end, namespace] of a module of this text (with a NUL behind it) */
static JSValue host_module(JSContext *c, JSValueConst self, int n, JSValueConst *v) {
  uint8_t *at;
  size_t size;
  /* First: making a text of it may run code, which may detach the memory. */
  const char *name = JS_ToCString(c, v[1]);
  if (name == NULL) return JS_EXCEPTION;
  int is_memory = memory(c, v[0], &at, &size) == 0;
  if (!is_memory || size == 0 || at[size - 1] != 0) {
    JS_FreeCString(c, name);
    return is_memory ? JS_ThrowTypeError(c, "a NUL is expected at the end") : JS_EXCEPTION;
  }
  /* Another would be taken for one of the program's own. */
  JSValue module = name[0] != '/'
    ? JS_ThrowReferenceError(c, "%s: the path of a plugin is absolute", name)
    : JS_Eval(c, (const char *)at, size - 1, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  JS_FreeCString(c, name);
  if (JS_IsException(module)) return module;
  if (JS_ResolveModule(c, module) < 0) {
    JS_FreeValue(c, module);
    return JS_EXCEPTION;
  }
  JSModuleDef *def = JS_VALUE_GET_PTR(module);
  JSValue end = JS_EvalFunction(c, module);
  if (JS_IsException(end)) return end;
  JSValue pair = JS_NewArray(c);
  JS_SetPropertyUint32(c, pair, 0, end);
  JS_SetPropertyUint32(c, pair, 1, JS_GetModuleNamespace(c, def));
  return pair;
}

/* ---- the start -------------------------------------------------------------------------------- */

static JSValue bytes_list(JSContext *c, char **texts) {
  JSValue list = JS_NewArray(c);
  for (uint32_t i = 0; texts[i] != NULL; i++)
    JS_SetPropertyUint32(c, list, i, JS_NewArrayBufferCopy(c, (uint8_t *)texts[i], strlen(texts[i])));
  return list;
}

static const struct {
  const char *name;
  JSCFunction *function;
  int arguments;
} functions[] = {
  {"bounded", host_bounded, 1}, {"catchable", host_catchable, 1}, {"collect", host_collect, 0},
  {"ended", host_ended, 0}, {"exec", host_exec, 3}, {"exit", host_exit, 1}, {"jobs", host_jobs, 0}, {"limit", host_limit, 1}, {"module", host_module, 2},
  {"now", host_now, 0}, {"signals", host_signals, 1}, {"spawn", host_spawn, 10},
  {"text", host_text, 1}, {"threshold", host_threshold, 1}, {"used", host_used, 0},
  {"utf8", host_utf8, 1}, {"wait", host_wait, 2}, {"watch", host_watch, 2},
}, more_calls[] = {
  {"dup2", sys_dup2, 2}, {"fcntl", sys_fcntl, 3}, {"ignore", sys_ignore, 1},
  {"ftruncate", sys_ftruncate, 2}, {"getsockopt", sys_getsockopt, 4},
  {"grantCopy", sys_grant_copy, 6}, {"ioctl", sys_ioctl, 3}, {"map", sys_map, 4}, {"poll", sys_poll, 3}, {"prctl", sys_prctl, 2}, {"pread", sys_pread, 3},
  {"pwrite", sys_pwrite, 3},   {"setgroups", sys_setgroups, 0}, {"unmap", sys_unmap, 1},
};

static JSValue host_object(JSContext *c, char **argv) {
  JSValue host = JS_NewObject(c), sys = JS_NewObject(c);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    JS_SetPropertyStr(c, host, functions[i].name,
                      JS_NewCFunction(c, functions[i].function, functions[i].name, functions[i].arguments));
  for (size_t i = 0; i < sizeof more_calls / sizeof *more_calls; i++)
    JS_SetPropertyStr(c, sys, more_calls[i].name,
                      JS_NewCFunction(c, more_calls[i].function, more_calls[i].name, more_calls[i].arguments));
  static const char *const ids[] = {"setresgid", "setresuid"};
  for (int i = 0; i < 2; i++)
    JS_SetPropertyStr(c, sys, ids[i], JS_NewCFunctionMagic(c, sys_setid, ids[i], 1, JS_CFUNC_generic_magic, i));
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    JS_SetPropertyStr(c, sys, calls[i].name,
                      JS_NewCFunctionMagic(c, system_call, calls[i].name, 0, JS_CFUNC_generic_magic, i));
#if defined __x86_64__
  const char *machine = "x86_64";
#elif defined __aarch64__
  const char *machine = "aarch64";
#elif defined __arm__
  const char *machine = "arm";
#endif
  JS_SetPropertyStr(c, sys, "machine", JS_NewString(c, machine));
  JS_SetPropertyStr(c, host, "sys", sys);
  JS_SetPropertyStr(c, host, "args", bytes_list(c, argv));
  JS_SetPropertyStr(c, host, "environment", bytes_list(c, environ));
  return host;
}

int main(int argc, char **argv) {
  /* A reader that has gone, and a file that may not grow, are errors of a call. */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  /* The other runtime keeps it to itself, so nobody above takes it: it must not end a daemon here. */
  signal(SIGPWR, SIG_IGN);
#ifdef __SANITIZE_ADDRESS__
  /* The sanitizer watches the C library's allocator. */
  JSRuntime *rt = JS_NewRuntime();
#else
  begin_memory();
  JSRuntime *rt = JS_NewRuntime2(&engine_memory, NULL);
#endif
  JSContext *c = rt == NULL ? NULL : JS_NewContext(rt);
  if (c == NULL) {
    fputs("xdevd: no memory\n", stderr);
    return EXIT_FAULT;
  }
  JS_SetGCThreshold(rt, LOADING_THRESHOLD);
  JS_SetMaxStackSize(rt, STACK_SIZE);
  /* Atomics.wait, for a moment's pause. */
  JS_SetCanBlock(rt, 1);
  JS_SetHostPromiseRejectionTracker(rt, on_rejection, NULL);
  JS_SetInterruptHandler(rt, is_over, NULL);
  JS_SetModuleLoaderFunc(rt, normalize, load, NULL);
  JSValue global = JS_GetGlobalObject(c);
  JS_SetPropertyStr(c, global, "__host", host_object(c, argv));
  static const char *const first[] = {GLOBALS_PART, MAIN_PART};
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
    const struct part *part = part_of(first[i]);
    JSValue module = read_part(c, part);
    if (JS_IsException(module) || JS_ResolveModule(c, module) < 0) {
      report(c, JS_GetException(c));
      return EXIT_FAULT;
    }
    JSValue end = JS_EvalFunction(c, module);
    if (JS_IsException(end)) {
      report(c, JS_GetException(c));
      return EXIT_FAULT;
    }
    JS_FreeValue(c, end);
  }
  run_jobs(rt, c);
  /* One turn of the event loop; false when there is nothing left to wait for. */
  JSValue turn = JS_GetPropertyStr(c, global, "__turn");
  for (;;) {
    begin_run();
    JSValue more = JS_Call(c, turn, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(more)) escaped(c);
    else if (!JS_ToBool(c, more)) return 0;
    run_jobs(rt, c);
  }
}

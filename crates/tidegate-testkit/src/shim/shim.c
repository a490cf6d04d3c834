/* Makes a disk fail: a library for LD_PRELOAD that catches the system calls which write and sync
 * files below one folder, and lets a test decide how they end.
 *
 * The calls are caught by a seccomp filter and answered in a SIGSYS handler, not by functions that
 * stand before those of libc: a program may make system calls without libc, and ours does.
 *
 * TIDEGATE_SHIM_BELOW    paths that begin so are caught
 * TIDEGATE_SHIM_CONTROL  a folder; while it holds
 *     sync-fails       fsync and fdatasync give EIO
 *     sync-delay-ms    they take so much longer
 *     full             writes at an offset and fallocate give ENOSPC
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

/* In the sixth argument, which none of the caught calls has: let this one pass. */
#define PASS 0x7169646567617465L
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static char below[4096], control[4096];
static const int syncs[] = {SYS_fsync, SYS_fdatasync};
static const int writes[] = {SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_fallocate};

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
static long pass(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = PASS;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define ARGUMENT(context, at) ((context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8}[at]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
static long pass(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = PASS;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#define ARGUMENT(context, at) ((context)->uc_mcontext.regs[at])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#else
#error "this machine is not known"
#endif

static int is_below(long fd) {
    char link[64], path[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
    long length = pass(SYS_readlinkat, AT_FDCWD, (long)link, (long)path, sizeof(path) - 1, 0);
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* The number in a file of the control folder; -1 if there is no such file. */
static long wish(const char *name) {
    char path[4200], text[32] = {0};
    snprintf(path, sizeof(path), "%s/%s", control, name);
    long fd = pass(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0) return -1;
    pass(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0);
    pass(SYS_close, fd, 0, 0, 0, 0);
    return atol(text);
}

static int is_in(int number, const int *list, size_t count) {
    for (size_t at = 0; at < count; at++)
        if (list[at] == number) return 1;
    return 0;
}

static void caught(int signal, siginfo_t *info, void *raw) {
    ucontext_t *context = raw;
    int number = info->si_syscall;
    (void)signal;
    if (is_below(ARGUMENT(context, 0))) {
        int sync = is_in(number, syncs, COUNT(syncs));
        long delay = sync ? wish("sync-delay-ms") : -1;
        if (delay > 0) {
            struct timespec time = {delay / 1000, delay % 1000 * 1000000};
            pass(SYS_nanosleep, (long)&time, 0, 0, 0, 0);
        }
        if (sync && wish("sync-fails") >= 0) {
            RESULT(context) = -EIO;
            return;
        }
        if (!sync && wish("full") >= 0) {
            RESULT(context) = -ENOSPC;
            return;
        }
    }
    RESULT(context) = pass(number, ARGUMENT(context, 0), ARGUMENT(context, 1), ARGUMENT(context, 2),
                           ARGUMENT(context, 3), ARGUMENT(context, 4));
}

static void die(const char *what) {
    perror(what);
    _Exit(70);
}

__attribute__((constructor)) static void begin(void) {
    const char *prefix = getenv("TIDEGATE_SHIM_BELOW"), *folder = getenv("TIDEGATE_SHIM_CONTROL");
    if (!prefix || !folder) return;
    snprintf(below, sizeof(below), "%s", prefix);
    snprintf(control, sizeof(control), "%s", folder);

    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    action.sa_sigaction = caught;
    if (sigaction(SIGSYS, &action, NULL)) die("shim: sigaction");

    /* An `If` line that matches jumps to the check of the sixth argument, which is the same for all. */
    struct sock_filter filter[32];
    size_t at = 0;
    const size_t calls = COUNT(syncs) + COUNT(writes);
#define SAY(line) filter[at++] = (struct sock_filter)line
    SAY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    SAY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    SAY(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    SAY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (size_t call = 0; call < calls; call++) {
        int number = call < COUNT(syncs) ? syncs[call] : writes[call - COUNT(syncs)];
        SAY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, calls - call, 0));
    }
    SAY(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    SAY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])));
    SAY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PASS & 0xffffffff, 0, 1));
    SAY(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    SAY(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    struct sock_fprog program = {.len = at, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("shim: no_new_privs");
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("shim: seccomp");
}

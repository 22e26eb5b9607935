/*
 * A program that lets the kernel kill it for any system call but those of its list: what itself and
 * libc need for allocations, threads, coroutines, signals and output, and what docs/reliability.md
 * says the recorder makes once it runs. Prints its truth.
 *
 * With arguments it becomes that program instead, as a service does whose manager set the filter,
 * and what a start needs is allowed too.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "truth.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define COROUTINE_BYTES 65536

static const int allowed[] = {
    /* libc's and this program's */
    SYS_brk,
    SYS_clone3,
    SYS_exit,
    SYS_exit_group,
    SYS_futex,
    SYS_getpid,
    SYS_gettid,
    SYS_madvise,
    SYS_mmap,
    SYS_mprotect,
    SYS_munmap,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_tgkill,
    SYS_write,
    /* the recorder's: flush */
    SYS_prctl,
    SYS_fstat,
    SYS_prlimit64,
    SYS_pwritev,
    /* another thread, more stacks */
    SYS_fallocate,
    SYS_openat,
    SYS_read,
    SYS_close,
    /* resident size, end */
    SYS_pread64,
    SYS_fcntl,
    SYS_ppoll,
    /* where the clock is not read without the kernel */
    SYS_clock_gettime,
};
#define ALLOWED (sizeof(allowed) / sizeof(allowed[0]))

static const int allowed_to_start[] = {
    /* the loader's and libc's */
    SYS_execve,
    SYS_access,
    SYS_arch_prctl,
    SYS_set_tid_address,
    SYS_getrandom,
    SYS_newfstatat,
    SYS_mremap,
    SYS_sched_yield, /* of the program started */
    /* the recorder's */
    SYS_getppid,
    SYS_geteuid,
    SYS_uname,
    SYS_getcwd,
    SYS_readlinkat,
    SYS_unlinkat,
};
#define ALLOWED_TO_START (sizeof(allowed_to_start) / sizeof(allowed_to_start[0]))

static void *kept[64];
static ucontext_t coroutine, resumer;

static void put(struct sock_filter **at, uint16_t code, uint32_t value, uint8_t yes, uint8_t no)
{
	*(*at)++ = (struct sock_filter){code, yes, no, value};
}

static void allow(struct sock_filter **at, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put(at, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
		put(at, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	}
}

static void forbid_all_else(int but_a_start)
{
	static struct sock_filter filter[2 * (ALLOWED + ALLOWED_TO_START) + 8];
	struct sock_filter *at = filter;
	struct sock_fprog program = {.filter = filter};

	put(&at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	put(&at, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	put(&at, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	put(&at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	allow(&at, allowed, ALLOWED);
	if (but_a_start)
		allow(&at, allowed_to_start, ALLOWED_TO_START);
	put(&at, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	program.len = (unsigned short)(at - filter);
	TRUTH_REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	TRUTH_REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void work(int calls)
{
	for (int i = 0; i < calls; i++) {
		truth_free(kept[i % 64], 100);
		kept[i % 64] = truth_malloc(100);
	}
}

static void *in_thread(void *memory)
{
	for (int i = 0; i < 30000; i++)
		truth_free(truth_malloc(64), 64);
	*(struct truth *)memory = truth;
	return NULL;
}

static void in_coroutine(void)
{
	work(3000);
}

static void in_handler(int number)
{
	(void)number;
	work(10);
}

/* A stack of another kind than the recorder knows from the start. */
static void on_other_stacks(void)
{
	struct sigaction action = {.sa_handler = in_handler, .sa_flags = SA_ONSTACK};
	char *memory = mmap(NULL, (size_t)2 * COROUTINE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = memory + COROUTINE_BYTES, .ss_size = COROUTINE_BYTES};

	TRUTH_REQUIRE(memory != MAP_FAILED);
	TRUTH_REQUIRE(getcontext(&coroutine) == 0);
	coroutine.uc_stack.ss_sp = memory;
	coroutine.uc_stack.ss_size = COROUTINE_BYTES;
	coroutine.uc_link = &resumer;
	makecontext(&coroutine, in_coroutine, 0);
	TRUTH_REQUIRE(swapcontext(&resumer, &coroutine) == 0);
	TRUTH_REQUIRE(sigaltstack(&stack, NULL) == 0);
	TRUTH_REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
}

int main(int argc, char **argv)
{
	struct truth other = {0};
	pthread_t thread;

	work(10);
	forbid_all_else(argc > 1);
	if (argc > 1)
		execv(argv[1], argv + 1);
	on_other_stacks();
	work(30000);
	TRUTH_REQUIRE(pthread_create(&thread, NULL, in_thread, &other) == 0);
	pthread_join(thread, NULL);
	work(30000);
	truth_add(&truth, &other);
	truth_print(1, &truth);
	return 0;
}

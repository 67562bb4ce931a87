#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define RESULT(call)                                                                               \
    do {                                                                                           \
        long result = (call);                                                                      \
        return result < 0 ? -(long)errno : result;                                                 \
    } while (0)

const int clinux_sock_stream = SOCK_STREAM;
const int clinux_sock_dgram = SOCK_DGRAM;
const int clinux_sock_nonblock = SOCK_NONBLOCK;
const int clinux_sock_cloexec = SOCK_CLOEXEC;
const int clinux_so_original_dst = SO_ORIGINAL_DST;
const int clinux_ip6t_so_original_dst = IP6T_SO_ORIGINAL_DST;
const int clinux_ip_transparent = IP_TRANSPARENT;
const int clinux_ipv6_transparent = IPV6_TRANSPARENT;
const int clinux_ip_bind_address_no_port = IP_BIND_ADDRESS_NO_PORT;
const int clinux_clone_newnet = CLONE_NEWNET;
const int clinux_so_peercred = SO_PEERCRED;

_Static_assert(sizeof(struct clinux_credentials) == sizeof(struct ucred), "SO_PEERCRED layout");

long clinux_socket(int family, int type, int protocol)
{
    RESULT(socket(family, type, protocol));
}
long clinux_bind(int fd, const union clinux_address *address, socklen_t length)
{
    RESULT(bind(fd, &address->base, length));
}
long clinux_listen(int fd, int backlog) { RESULT(listen(fd, backlog)); }
long clinux_connect(int fd, const union clinux_address *address, socklen_t length)
{
    RESULT(connect(fd, &address->base, length));
}
long clinux_accept4(int fd, union clinux_address *address, socklen_t *length, int flags)
{
    RESULT(accept4(fd, &address->base, length, flags));
}
long clinux_getsockname(int fd, union clinux_address *address, socklen_t *length)
{
    RESULT(getsockname(fd, &address->base, length));
}
long clinux_getpeername(int fd, union clinux_address *address, socklen_t *length)
{
    RESULT(getpeername(fd, &address->base, length));
}
/* Four arguments, the fifth and sixth zero; the kernel's result is the count or -errno already. */
static inline long system_call(long number, long first, long second, long third, long fourth)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = fourth;
    register long r8 __asm__("r8") = 0;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#else
    RESULT(syscall(number, first, second, third, fourth, 0L, 0L));
#endif
}

long clinux_recv(int fd, void *buffer, size_t length, int flags)
{
    return system_call(SYS_recvfrom, fd, (long)buffer, (long)length, flags);
}
long clinux_send(int fd, const void *buffer, size_t length, int flags)
{
    return system_call(SYS_sendto, fd, (long)buffer, (long)length, flags);
}
long clinux_send_two(int fd, const void *first, size_t first_length, const void *second,
                     size_t second_length)
{
    struct iovec vector[2] = {{.iov_base = (void *)first, .iov_len = first_length},
                              {.iov_base = (void *)second, .iov_len = second_length}};
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
    RESULT(sendmsg(fd, &message, MSG_NOSIGNAL));
}
long clinux_send_with_descriptor(int fd, const void *buffer, size_t length, int descriptor)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {.iov_base = (void *)buffer, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
    RESULT(sendmsg(fd, &message, MSG_NOSIGNAL));
}
long clinux_shutdown(int fd, int how) { RESULT(shutdown(fd, how)); }
long clinux_close(int fd) { RESULT(close(fd)); }
long clinux_read(int fd, void *buffer, size_t length) { RESULT(read(fd, buffer, length)); }
long clinux_write(int fd, const void *buffer, size_t length) { RESULT(write(fd, buffer, length)); }
long clinux_open(const char *path, int flags, unsigned mode) { RESULT(open(path, flags, mode)); }
long clinux_fcntl(int fd, int command, long argument) { RESULT(fcntl(fd, command, argument)); }
long clinux_flock(int fd, int operation) { RESULT(flock(fd, operation)); }
long clinux_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    RESULT(setsockopt(fd, level, name, value, length));
}
long clinux_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    RESULT(getsockopt(fd, level, name, value, length));
}
long clinux_pipe2(int descriptors[2], int flags) { RESULT(pipe2(descriptors, flags)); }
long clinux_splice(int in, int out, size_t length, unsigned flags)
{
    RESULT(splice(in, NULL, out, NULL, length, flags));
}

long clinux_epoll_create(void) { RESULT(epoll_create1(EPOLL_CLOEXEC)); }
long clinux_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = {.events = events, .data = {.u64 = tag}};
    RESULT(epoll_ctl(epoll, operation, fd, &event));
}
long clinux_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout)
{
    RESULT(epoll_wait(epoll, events, capacity, timeout));
}
long clinux_eventfd(unsigned initial, int flags) { RESULT(eventfd(initial, flags)); }

long clinux_setns(int fd, int kind) { RESULT(setns(fd, kind)); }
long clinux_unshare(int kind) { RESULT(unshare(kind)); }
long clinux_mount(const char *source, const char *target, const char *kind, unsigned long flags,
                  const char *options)
{
    RESULT(mount(source, target, kind, flags, options));
}
long clinux_file_system_magic(const char *path)
{
    struct statfs status;
    if (statfs(path, &status) < 0)
        return -(long)errno;
    return (long)status.f_type;
}
long clinux_gettid(void) { RESULT(syscall(SYS_gettid)); }
long clinux_pidfd_open(int process) { RESULT(syscall(SYS_pidfd_open, process, 0)); }
long clinux_sched_setaffinity(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    RESULT(sched_setaffinity(0, sizeof(set), &set));
}
long clinux_usable_core_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return -(long)errno;
    return CPU_COUNT(&set);
}
long clinux_prctl_set_name(const char *name) { RESULT(prctl(PR_SET_NAME, name)); }
long clinux_malloc_trim(void) { return malloc_trim(0); }

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
uint64_t clinux_monotonic_nanoseconds(void) { return nanoseconds(CLOCK_MONOTONIC); }
uint64_t clinux_wall_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }

long clinux_peer_credentials(int fd, struct clinux_credentials *credentials)
{
    socklen_t length = sizeof(*credentials);
    RESULT(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, &length));
}

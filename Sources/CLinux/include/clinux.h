/*
 * Linux for Swift: what the C library's module leaves out. Thin wrappers, no decisions. Every
 * wrapper returns the system call's result, or -errno.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* A socket address of either family, or of a local socket. */
union clinux_address {
    struct sockaddr base;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

long clinux_socket(int family, int type, int protocol);
long clinux_bind(int fd, const union clinux_address *_Nonnull address, socklen_t length);
long clinux_listen(int fd, int backlog);
long clinux_connect(int fd, const union clinux_address *_Nonnull address, socklen_t length);
long clinux_accept4(int fd, union clinux_address *_Nonnull address, socklen_t *_Nonnull length,
                    int flags);
long clinux_getsockname(int fd, union clinux_address *_Nonnull address, socklen_t *_Nonnull length);
long clinux_getpeername(int fd, union clinux_address *_Nonnull address, socklen_t *_Nonnull length);
/* recvfrom(2) and sendto(2) without address, straight to the kernel: the C library's own are points
 * of thread cancellation, which cost more than all the rest of the call's user code. */
long clinux_recv(int fd, void *_Nonnull buffer, size_t length, int flags);
long clinux_send(int fd, const void *_Nonnull buffer, size_t length, int flags);
long clinux_send_two(int fd, const void *_Nonnull first, size_t first_length,
                     const void *_Nonnull second, size_t second_length);
long clinux_send_with_descriptor(int fd, const void *_Nonnull buffer, size_t length, int descriptor);
long clinux_shutdown(int fd, int how);
long clinux_close(int fd);
long clinux_read(int fd, void *_Nonnull buffer, size_t length);
long clinux_write(int fd, const void *_Nonnull buffer, size_t length);
long clinux_open(const char *_Nonnull path, int flags, unsigned mode);
long clinux_fcntl(int fd, int command, long argument);
long clinux_flock(int fd, int operation);
long clinux_setsockopt(int fd, int level, int name, const void *_Nonnull value, socklen_t length);
long clinux_getsockopt(int fd, int level, int name, void *_Nonnull value,
                       socklen_t *_Nonnull length);
long clinux_pipe2(int descriptors[_Nonnull 2], int flags);
long clinux_splice(int in, int out, size_t length, unsigned flags);

long clinux_epoll_create(void);
long clinux_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t tag);
long clinux_epoll_wait(int epoll, struct epoll_event *_Nonnull events, int capacity,
                       int timeout_milliseconds);
long clinux_eventfd(unsigned initial, int flags);

long clinux_setns(int fd, int kind);
long clinux_unshare(int kind);
long clinux_mount(const char *_Nonnull source, const char *_Nonnull target,
                  const char *_Nonnull kind, unsigned long flags, const char *_Nullable options);
/* The magic number of the file system that a path lies on (statfs(2)). */
long clinux_file_system_magic(const char *_Nonnull path);
long clinux_gettid(void);
long clinux_pidfd_open(int process);
long clinux_sched_setaffinity(int core);
long clinux_usable_core_count(void);
long clinux_prctl_set_name(const char *_Nonnull name);
long clinux_malloc_trim(void);

/* Monotonic and wall clocks, nanoseconds. */
uint64_t clinux_monotonic_nanoseconds(void);
uint64_t clinux_wall_nanoseconds(void);

/* The packed epoll_event of this architecture, unpacked. */
static inline uint64_t clinux_epoll_tag(const struct epoll_event *_Nonnull event)
{
    return event->data.u64;
}
static inline uint32_t clinux_epoll_events(const struct epoll_event *_Nonnull event)
{
    return event->events;
}

/* Constants hidden behind feature macros, or whose headers clash with the C library's module. */
extern const int clinux_sock_stream;
extern const int clinux_sock_dgram;
extern const int clinux_sock_nonblock;
extern const int clinux_sock_cloexec;
extern const int clinux_so_original_dst;
extern const int clinux_ip6t_so_original_dst;
extern const int clinux_ip_transparent;
extern const int clinux_ipv6_transparent;
extern const int clinux_ip_bind_address_no_port;
extern const int clinux_clone_newnet;
extern const int clinux_so_peercred;

/* Credentials of a local socket's peer (SO_PEERCRED). */
struct clinux_credentials {
    int32_t process;
    uint32_t user;
    uint32_t group;
};
long clinux_peer_credentials(int fd, struct clinux_credentials *_Nonnull credentials);

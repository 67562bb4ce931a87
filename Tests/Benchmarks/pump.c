/*
 * pump: load generator and backend in one single-threaded process, so that one core carries both.
 *
 * usage: pump BACKEND-PORT
 * Commands come as lines on standard input, each answered by one line of JSON:
 *   run ADDRESS PORT PATH CONNECTIONS close|keep|paced:RATE seconds|requests AMOUNT
 *       drives requests until the seconds have passed or that many answers came; paced sends them
 *       at a steady rate a second and counts latency from when each was due
 *   hold ADDRESS PORT PATH CONNECTIONS
 *       opens connections, has each make one request, and keeps them open
 *   release
 *       closes the held ones
 * The backend answers GET /64k… with 64 KiB and everything else with 1 KiB, always keep-alive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { connection_limit = 20000, buffer_size = 4096, event_count = 512 };
enum role { unused, listener, serving, client };

struct connection {
    enum role role;
    int length;              /* bytes of the head collected */
    char buffer[buffer_size];
    long body_left;          /* of the answer being read; -1 while in the head */
    const char *out;         /* of the answer being written */
    long out_left;
    unsigned long long sent; /* nanoseconds */
};

static struct connection connections[connection_limit];
static int poll_fd;
static char answer_small[2048], answer_large[70000];
static long answer_small_length, answer_large_length;

static struct {
    struct sockaddr_in target;
    char request[1024];
    int request_length, closes, holds, active;
    unsigned long long interval, due; /* nanoseconds; an interval of 0 sends as answers come */
    int idle[connection_limit], idle_count;
    long wanted, started, completed, failed;
    unsigned long long deadline, first;
    unsigned int microseconds[1 << 16]; /* latency histogram, capped */
} run;

static char scratch[1 << 17];

static unsigned long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static struct connection *reset(int fd, enum role role) {
    struct connection *c = &connections[fd];
    c->role = role;
    c->length = 0;
    c->body_left = -1;
    c->out_left = 0;
    return c;
}

static void forget(int fd) {
    connections[fd].role = unused;
    close(fd);
}

static int wants_more(void) {
    if (run.holds) return run.started < run.wanted;
    if (run.deadline) return now() < run.deadline;
    return run.started < run.wanted;
}

static void begin(int fd) {
    struct connection *c = &connections[fd];
    c->length = 0;
    c->body_left = -1;
    c->sent = now();
    run.started++;
    if (send(fd, run.request, run.request_length, MSG_NOSIGNAL) != run.request_length
        && errno != EAGAIN && errno != ENOTCONN)
        run.failed++;
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd >= connection_limit) return -1;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&run.target, sizeof run.target) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    reset(fd, client);
    watch(fd);
    run.active++;
    if (run.interval) run.idle[run.idle_count++] = fd;
    else begin(fd);
    return fd;
}

/* Sends what is due, as long as a connection is free. */
static void pace(void) {
    unsigned long long present = now();
    while (run.due <= present && run.due < run.deadline && run.idle_count > 0) {
        int fd = run.idle[--run.idle_count];
        begin(fd);
        connections[fd].sent = run.due;
        run.due += run.interval;
    }
}

static void end_pacing(void) {
    while (run.idle_count > 0) {
        close(run.idle[--run.idle_count]);
        connections[run.idle[run.idle_count]].role = unused;
        run.active--;
    }
}

static void lost(int fd) {
    for (int i = 0; i < run.idle_count; i++)
        if (run.idle[i] == fd) run.idle[i] = run.idle[--run.idle_count];
    forget(fd);
    run.active--;
    run.failed++;
    if (!run.holds && wants_more() && run.failed < 1000) dial();
}

static void answered(int fd) {
    struct connection *c = &connections[fd];
    unsigned long long us = (now() - c->sent) / 1000;
    run.microseconds[us < 65535 ? us : 65535]++;
    run.completed++;
    if (run.holds) return;
    if (run.interval) {
        run.idle[run.idle_count++] = fd;
    } else if (run.closes) {
        forget(fd);
        run.active--;
        if (wants_more()) dial();
    } else if (wants_more()) {
        begin(fd);
    } else {
        forget(fd);
        run.active--;
    }
}

/* Takes bytes of an answer; calls answered() at its end. */
static int take(int fd, const char *bytes, long count) {
    struct connection *c = &connections[fd];
    while (count > 0) {
        if (c->body_left < 0) {
            long room = buffer_size - 1 - c->length, part = count < room ? count : room;
            memcpy(c->buffer + c->length, bytes, part);
            int before = c->length;
            c->length += part;
            c->buffer[c->length] = 0;
            char *end = memmem(c->buffer, c->length, "\r\n\r\n", 4);
            if (!end) return c->length < buffer_size - 1;
            long used = end + 4 - c->buffer - before;
            bytes += used;
            count -= used;
            *end = 0;
            if (strncmp(c->buffer, "HTTP/1.1 200", 12) != 0) return 0;
            char *field = strcasestr(c->buffer, "\r\ncontent-length:");
            if (!field) return 0;
            c->body_left = atol(field + 17);
        }
        long part = count < c->body_left ? count : c->body_left;
        c->body_left -= part;
        bytes += part;
        count -= part;
        if (c->body_left == 0) {
            answered(fd);
            return 1;
        }
    }
    return 1;
}

static void client_ready(int fd) {
    for (;;) {
        long count = recv(fd, scratch, sizeof scratch, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0 || !take(fd, scratch, count)) {
            lost(fd);
            return;
        }
        if (connections[fd].role != client || count < (long)sizeof scratch) return;
    }
}

static void flush_answer(int fd) {
    struct connection *c = &connections[fd];
    while (c->out_left > 0) {
        long count = send(fd, c->out, c->out_left, MSG_NOSIGNAL);
        if (count < 0) return;
        c->out += count;
        c->out_left -= count;
    }
}

/* The proxy sends one request at a time on a connection, always without a body. */
static void serving_ready(int fd) {
    struct connection *c = &connections[fd];
    flush_answer(fd);
    for (;;) {
        long count = recv(fd, c->buffer + c->length, buffer_size - c->length, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0 || c->length + count >= buffer_size) {
            forget(fd);
            return;
        }
        c->length += count;
        if (c->length < 4 || memcmp(c->buffer + c->length - 4, "\r\n\r\n", 4) != 0) continue;
        int large = memmem(c->buffer, 16, "/64k", 4) != NULL;
        c->out = large ? answer_large : answer_small;
        c->out_left = large ? answer_large_length : answer_small_length;
        c->length = 0;
        flush_answer(fd);
        return;
    }
}

static void listener_ready(int fd) {
    for (;;) {
        int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) return;
        if (accepted >= connection_limit) {
            close(accepted);
            continue;
        }
        int one = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        reset(accepted, serving);
        watch(accepted);
        serving_ready(accepted);
    }
}

static void turn(int timeout) {
    struct epoll_event events[event_count];
    int count = epoll_wait(poll_fd, events, event_count, timeout);
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        switch (connections[fd].role) {
        case unused: break;
        case listener: listener_ready(fd); break;
        case serving: serving_ready(fd); break;
        case client: client_ready(fd); break;
        }
    }
}

static void make_request(const char *path) {
    run.request_length = snprintf(
        run.request, sizeof run.request,
        "GET %s HTTP/1.1\r\nHost: bench.example\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        "Accept-Language: en-GB,en;q=0.5\r\nReferer: http://bench.example/index.html\r\n"
        "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
        "Upgrade-Insecure-Requests: 1\r\nCache-Control: no-cache\r\nDNT: 1\r\n%s\r\n",
        path, run.closes ? "Connection: close\r\n" : "");
}

static unsigned int percentile(double share) {
    long target = run.completed * share, sum = 0;
    for (unsigned int us = 0; us < 1 << 16; us++) {
        sum += run.microseconds[us];
        if (sum > target) return us;
    }
    return 65535;
}

static void report(void) {
    double seconds = (now() - run.first) / 1e9;
    printf("{\"completed\": %ld, \"failed\": %ld, \"seconds\": %.3f, \"p50us\": %u, \"p99us\": %u, "
           "\"headBytes\": %d}\n",
           run.completed, run.failed, seconds, percentile(0.5), percentile(0.99),
           run.request_length);
    fflush(stdout);
}

static void start(const char *address, int port, const char *path, int connection_count) {
    run.target.sin_family = AF_INET;
    run.target.sin_port = htons(port);
    inet_pton(AF_INET, address, &run.target.sin_addr);
    run.started = run.completed = run.failed = run.active = 0;
    memset(run.microseconds, 0, sizeof run.microseconds);
    make_request(path);
    run.first = now();
    for (int i = 0; i < connection_count && wants_more(); i++) {
        if (dial() < 0) run.failed++;
        turn(0);
    }
}

static void command(char *line) {
    char address[64], path[128], mode[32], unit[16];
    int port, count;
    double amount;
    if (sscanf(line, "run %63s %d %127s %d %31s %15s %lf", address, &port, path, &count, mode, unit,
               &amount) == 7) {
        run.holds = 0;
        run.closes = strcmp(mode, "close") == 0;
        run.wanted = strcmp(unit, "requests") == 0 ? amount : 0;
        run.deadline = run.wanted ? 0 : now() + (unsigned long long)(amount * 1e9);
        unsigned long long limit = now() + (run.wanted ? 300000000000ull : (amount + 5) * 1e9);
        double rate = 0;
        run.interval = sscanf(mode, "paced:%lf", &rate) == 1 ? 1e9 / rate : 0;
        run.idle_count = 0;
        start(address, port, path, count);
        run.due = run.first;
        while (run.interval && now() < run.deadline) {
            pace();
            turn(0);
        }
        while (run.active > run.idle_count && now() < limit) turn(100);
        end_pacing();
        report();
    } else if (sscanf(line, "hold %63s %d %127s %d", address, &port, path, &count) == 4) {
        run.holds = 1;
        run.closes = 0;
        run.interval = 0;
        run.wanted = count;
        unsigned long long limit = now() + 60000000000ull;
        start(address, port, path, count);
        while (run.completed + run.failed < count && now() < limit) turn(100);
        report();
    } else if (strncmp(line, "release", 7) == 0) {
        for (int fd = 0; fd < connection_limit; fd++)
            if (connections[fd].role == client) forget(fd);
        report();
    } else {
        printf("{\"error\": \"expected run, hold or release\"}\n");
        fflush(stdout);
    }
}

static long make_answer(char *out, long body) {
    long head = sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                             "Content-Length: %ld\r\nServer: pump\r\n\r\n", body);
    memset(out + head, 'x', body);
    return head + body;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: pump BACKEND-PORT\n");
        return 64;
    }
    answer_small_length = make_answer(answer_small, 1024);
    answer_large_length = make_answer(answer_large, 65536);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        perror("pump: listen");
        return 1;
    }
    reset(fd, listener);
    watch(fd);
    /* Standard input is polled beside the sockets, level-triggered. */
    struct epoll_event event = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    static char line[512];
    int length = 0;
    for (;;) {
        turn(1000);
        long count = read(STDIN_FILENO, line + length, sizeof line - 1 - length);
        if (count == 0) return 0;
        if (count < 0) continue;
        length += count;
        line[length] = 0;
        char *end;
        while ((end = memchr(line, '\n', length)) != NULL) {
            *end = 0;
            command(line);
            length -= end + 1 - line;
            memmove(line, end + 1, length);
        }
    }
}

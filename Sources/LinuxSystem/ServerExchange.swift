import Addressing
import CLinux
import Glibc
import Synchronization

/// Questions and answers with servers over UDP and TCP. All that are in hand share one thread, which
/// waits for sockets and times and for nothing else, so that a silent server holds nobody up; the
/// thread ends when nothing is in hand. Each question has a socket of its own, whose port the kernel
/// picks at random.
package final class ServerExchange: Sendable {
    /// How a question is sent.
    package enum Transport: Sendable {
        /// As a datagram; only datagrams of the server's own address and port come back.
        case datagram
        /// Over TCP, behind its length, as its answer is (RFC 1035 section 4.2.2).
        case stream
    }

    private struct Job: Sendable {
        var bytes: [UInt8]
        var server: SocketAddress
        var transport: Transport
        var deadline: UInt64
        var accepts: @Sendable ([UInt8]) -> Bool
        var continuation: CheckedContinuation<[UInt8]?, Never>
    }

    private struct State {
        var waiting: [Job] = []
        var isRunning = false
    }

    private let state = Mutex(State())
    private let wakeup: Wakeup
    private let epoll: Epoll

    /// Makes an exchange without a thread.
    ///
    /// - Throws: where descriptors are used up.
    package init() throws(Errno) {
        wakeup = try Wakeup(blocks: false)
        epoll = try Epoll()
        let interest = EPOLLIN.rawValue | EPOLLET.rawValue
        try epoll.add(wakeup.rawValue, events: interest, tag: .max)
    }

    /// Asks a server and waits for what is accepted; other messages are passed over.
    ///
    /// - Returns: `nil` where none came in time, and where the server refused.
    package func ask(
        _ bytes: [UInt8],
        _ server: SocketAddress,
        _ transport: Transport,
        timeoutMilliseconds: Int32,
        accepts: @escaping @Sendable ([UInt8]) -> Bool
    ) async -> [UInt8]? {
        let deadline = Clock.monotonicNanoseconds() + UInt64(timeoutMilliseconds) * 1_000_000
        return await withCheckedContinuation { continuation in
            submit(
                Job(
                    bytes: bytes,
                    server: server,
                    transport: transport,
                    deadline: deadline,
                    accepts: accepts,
                    continuation: continuation
                )
            )
        }
    }

    private func submit(_ job: Job) {
        let starts = state.withLock { state in
            state.waiting.append(job)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard starts else {
            wakeup.signal()
            return
        }
        do {
            try RawThread.start(name: "martlet-dns") { self.run() }
        } catch {
            let jobs = state.withLock { state in
                state.isRunning = false
                defer { state.waiting = [] }
                return state.waiting
            }
            for job in jobs { job.continuation.resume(returning: nil) }
        }
    }

    // MARK: The thread

    private func run() {
        var inHand: [UInt64: Exchange] = [:]
        var nextTag: UInt64 = 0
        while let jobs = takeJobs(isIdle: inHand.isEmpty) {
            for job in jobs {
                guard let exchange = try? Exchange(job, epoll, tag: nextTag) else {
                    job.continuation.resume(returning: nil)
                    continue
                }
                inHand[nextTag] = exchange
                nextTag += 1
            }
            for index in 0..<epoll.wait(milliseconds: patience(inHand)) {
                let event = epoll[index]
                if event.tag == .max { wakeup.wait() }
                guard let exchange = inHand[event.tag] else { continue }
                if exchange.advance() { inHand[event.tag] = nil }
            }
            let now = Clock.monotonicNanoseconds()
            for (tag, exchange) in inHand where exchange.job.deadline <= now {
                exchange.job.continuation.resume(returning: nil)
                inHand[tag] = nil
            }
        }
    }

    /// What is to be begun; `nil` where the thread has nothing left to do, and ends.
    private func takeJobs(isIdle: Bool) -> [Job]? {
        state.withLock { state in
            if state.waiting.isEmpty && isIdle {
                state.isRunning = false
                return nil
            }
            defer { state.waiting = [] }
            return state.waiting
        }
    }

    private func patience(_ inHand: [UInt64: Exchange]) -> Int32 {
        guard let next = inHand.values.map(\.job.deadline).min() else { return 0 }
        let now = Clock.monotonicNanoseconds()
        return next <= now ? 0 : Int32(clamping: (next - now) / 1_000_000 + 1)
    }

    /// One question in hand; of the thread alone.
    private final class Exchange {
        let job: Job
        private let socket: OwnedFD
        private var isSent = false
        private var received: [UInt8] = []

        init(_ job: Job, _ epoll: Epoll, tag: UInt64) throws(Errno) {
            self.job = job
            let family = job.server.ip.isIPv4 ? AF_INET : AF_INET6
            let kind = job.transport == .stream ? clinux_sock_stream : clinux_sock_dgram
            let flags = kind | clinux_sock_nonblock | clinux_sock_cloexec
            socket = OwnedFD(owning: Int32(try Errno.check(clinux_socket(family, flags, 0))))
            var raw = clinux_address()
            let length = Socket.encode(job.server, into: &raw)
            let result = unsafe clinux_connect(socket.rawValue, &raw, length)
            guard result == 0 || result == -Int(EINPROGRESS) else { throw Errno(Int32(-result)) }
            let interest = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLET.rawValue
            try epoll.add(socket.rawValue, events: interest, tag: tag)
        }

        /// Goes as far as the socket lets it.
        ///
        /// - Returns: whether it has ended, and whoever asks has been told.
        func advance() -> Bool {
            if !isSent {
                guard Socket.pendingError(of: socket.rawValue) == nil, send() else {
                    return end(nil)
                }
            }
            while true {
                var buffer = [UInt8](repeating: 0, count: 65_537)
                let count = unsafe Glibc.recv(socket.rawValue, &buffer, buffer.count, 0)
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno == EAGAIN ? false : end(nil)
                }
                let bytes = Array(buffer.prefix(count))
                switch job.transport {
                case .datagram:
                    if job.accepts(bytes) { return end(bytes) }
                case .stream:
                    guard !bytes.isEmpty else { return end(nil) }
                    received += bytes
                    if let whole = message { return end(job.accepts(whole) ? whole : nil) }
                }
            }
        }

        /// What has come whole behind its length.
        private var message: [UInt8]? {
            guard received.count >= 2 else { return nil }
            let wanted = Int(received[0]) << 8 | Int(received[1])
            return received.count >= 2 + wanted ? Array(received[2..<2 + wanted]) : nil
        }

        /// A question is far smaller than a socket's buffer.
        private func send() -> Bool {
            var bytes = job.bytes
            if job.transport == .stream {
                let length = UInt16(clamping: bytes.count)
                bytes = [UInt8(length >> 8), UInt8(length & 255)] + bytes
            }
            let flags = Int32(MSG_NOSIGNAL)
            let sent = unsafe Glibc.send(socket.rawValue, bytes, bytes.count, flags)
            if sent < 0 && errno == EAGAIN { return true }
            isSent = sent == bytes.count
            return isSent
        }

        private func end(_ answer: [UInt8]?) -> Bool {
            job.continuation.resume(returning: answer)
            return true
        }
    }
}

import Addressing
import Glibc
import LinuxSystem
import Testing

/// Two network namespaces of a test's own, `node` and `attacker`, joined by a veth pair whose ends
/// are both called `eth0`; and a folder for pins. All gone when the value goes.
///
/// A new pair for every test: one that was flooded can stay stuck for good.
final class VethPair {
    static let node = IPAddress(10, 77, 0, 1)
    static let attacker = IPAddress(10, 77, 0, 2)

    let name: String
    let pinDirectory: String
    private let nodeNamespace: OwnedFD
    private let attackerNamespace: OwnedFD
    private let gate: NamespaceGate

    init() throws {
        name = "mx\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        pinDirectory = "/tmp/martlet-pins-\(name)"
        let (node, attacker) = ("\(name)-n", "\(name)-a")
        for namespace in [node, attacker] {
            try VethPair.run("ip netns add \(namespace)")
            try VethPair.run("ip -n \(namespace) link set lo up")
        }
        nodeNamespace = try OwnedFD(opening: "/run/netns/\(node)", flags: O_RDONLY)
        attackerNamespace = try OwnedFD(opening: "/run/netns/\(attacker)", flags: O_RDONLY)
        gate = try NamespaceGate()
        try join()
    }

    /// Joins the namespaces by a new pair of interfaces.
    func join() throws {
        let (node, attacker) = ("\(name)-n", "\(name)-a")
        try VethPair.run("ip -n \(node) link add eth0 type veth peer name eth0 netns \(attacker)")
        for (namespace, digit) in [(node, 1), (attacker, 2)] {
            try VethPair.run("ip -n \(namespace) addr add 10.77.0.\(digit)/24 dev eth0")
            try VethPair.run("ip -n \(namespace) link set eth0 up")
        }
    }

    deinit {
        try? VethPair.run("ip netns del \(name)-n")
        try? VethPair.run("ip netns del \(name)-a")
        if FileSystem.kind(of: pinDirectory) != nil {
            try? VethPair.run("umount \(pinDirectory)")
            _ = try? FileSystem.removeDirectory(pinDirectory)
        }
    }

    /// Runs on the calling thread inside the node's namespace; never suspends.
    func inNode<Result>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
        try gate.inside(nodeNamespace.rawValue, body)
    }

    func inAttacker<Result>(_ body: () throws(Errno) -> Result) throws(Errno) -> Result {
        try gate.inside(attackerNamespace.rawValue, body)
    }

    /// Runs `ip` on the node's namespace.
    func ip(_ command: String) throws { try VethPair.run("ip -n \(name)-n \(command)") }

    /// Runs a program with arguments that hold no blanks.
    static func run(_ command: String) throws {
        let arguments = command.split(separator: " ").map(String.init)
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        var process: pid_t = 0
        let result = unsafe posix_spawnp(&process, arguments[0], nil, nil, &pointers, environ)
        guard result == 0 else { throw Errno(result) }
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            throw CommandFailure(command: command, status: status)
        }
    }

    struct CommandFailure: Error {
        var command: String
        var status: Int32
    }
}

/// A UDP socket over IPv4 in the namespace where it was made.
final class Datagrams: Sendable {
    private let descriptor: OwnedFD

    /// - Parameter bound: where to receive, if at all.
    init(bound: SocketAddress? = nil, waitMilliseconds: Int = 300) throws(Errno) {
        let result = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard result >= 0 else { throw .current() }
        descriptor = OwnedFD(owning: result)
        var wait = timeval(tv_sec: 0, tv_usec: waitMilliseconds * 1000)
        _ = unsafe setsockopt(
            result,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &wait,
            socklen_t(MemoryLayout<timeval>.size)
        )
        guard let bound else { return }
        let status = unsafe Datagrams.withAddress(bound) { address, length in
            unsafe bind(result, address, length)
        }
        guard status == 0 else { throw .current() }
    }

    @discardableResult
    func send(to address: SocketAddress) -> Bool {
        let byte: [UInt8] = [1]
        let descriptor = descriptor.rawValue
        return unsafe Datagrams.withAddress(address) { pointer, length in
            Int32(unsafe sendto(descriptor, byte, 1, 0, pointer, length))
        } == 1
    }

    /// Waits for one datagram.
    func receives() -> Bool {
        var bytes: [UInt8] = [0]
        return unsafe recv(descriptor.rawValue, &bytes, 1, 0) == 1
    }

    private static func withAddress(
        _ address: SocketAddress,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var value = sockaddr_in()
        value.sin_family = sa_family_t(AF_INET)
        value.sin_port = address.port.bigEndian
        value.sin_addr.s_addr = address.ip.v4Bits.bigEndian
        return unsafe withUnsafePointer(to: &value) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// A raw thread that runs a closure until it returns.
final class RawThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private var identifier = pthread_t()

    init(_ run: @escaping @Sendable () -> Void) {
        let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
        let result = unsafe pthread_create(
            &identifier,
            nil,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                }
                return nil
            },
            body
        )
        precondition(result == 0)
    }

    func join() { _ = pthread_join(identifier, nil) }
}

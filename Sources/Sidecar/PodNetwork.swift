import Addressing
import LinuxSystem
import MeshModel

/// What is done and asked inside one pod's network namespace. Every function acts in the namespace
/// of the calling thread, and is called through the namespace thread.
enum PodNetwork {
    /// Addresses of the namespace, loopback left out.
    static func addresses() throws(NetlinkError) -> Set<IPAddress> {
        var socket = try open(.route)
        let replies = try socket.dump(RouteRequest.addresses())
        return Set(replies.compactMap(RouteRequest.address(of:)).filter { !$0.isLoopback })
    }

    /// Puts the return path's rule and route in place, or takes them away.
    static func setReturnPath(removes: Bool) throws(NetlinkError) {
        var socket = try open(.route)
        for isIPv4 in [true, false] {
            let rule = RouteRequest.rule(
                isIPv4: isIPv4,
                mark: CaptureConstants.returnMark,
                table: CaptureConstants.routeTable,
                priority: CaptureConstants.rulePriority,
                removes: removes
            )
            let route = RouteRequest.localRoute(
                isIPv4: isIPv4,
                loopbackIndex: 1,
                table: CaptureConstants.routeTable,
                removes: removes
            )
            for message in [route, rule] { try perform(message, &socket, removes: removes) }
        }
    }

    /// What is there already, or gone already, is as wished; a namespace without IPv6 has no IPv6
    /// path to set.
    private static func perform(
        _ message: NetlinkMessage,
        _ socket: inout NetlinkSocket,
        removes: Bool
    ) throws(NetlinkError) {
        do throws(NetlinkError) {
            try socket.perform([message])
        } catch {
            let fine: [Errno] =
                removes
                ? [.notFound, Errno(3), Errno(97), Errno(95)] : [.exists, Errno(97), Errno(95)]
            guard fine.contains(error.errno) || message.subject.hasPrefix("IPv6") else {
                throw error
            }
        }
    }

    /// Applies a table in one transaction unless the same version is in place.
    static func apply(_ table: NFTable) throws(NetlinkError) {
        var socket = try open(.netfilter)
        let found = try version(&socket, of: table.name)
        let counts = try ruleCounts(&socket, of: table.name)
        if found == table.version && counts == expectedCounts(table) { return }
        try socket.perform(NFBatch.replace(table))
    }

    /// Whether exactly this table is in place: its version and how many rules each chain has.
    static func proves(_ table: NFTable) throws(NetlinkError) -> Bool {
        var socket = try open(.netfilter)
        let found = try version(&socket, of: table.name)
        let counts = try ruleCounts(&socket, of: table.name)
        return found == table.version && counts == expectedCounts(table)
    }

    /// Takes the table away.
    static func removeTable() throws(NetlinkError) {
        var socket = try open(.netfilter)
        try socket.perform(NFBatch.remove(CaptureConstants.tableName))
    }

    private static func open(_ bus: NetlinkSocket.Bus) throws(NetlinkError) -> NetlinkSocket {
        do throws(Errno) {
            return try NetlinkSocket(bus)
        } catch {
            throw NetlinkError(subject: "netlink socket", errno: error)
        }
    }

    private static func version(
        _ socket: inout NetlinkSocket,
        of name: String
    ) throws(NetlinkError) -> String? {
        do throws(NetlinkError) {
            let replies = try socket.dump(NFBatch.table(name))
            return replies.first.flatMap { NFBatch.version(of: $0) }
        } catch {
            guard error.errno == .notFound else { throw error }
            return nil
        }
    }

    private static func ruleCounts(
        _ socket: inout NetlinkSocket,
        of name: String
    ) throws(NetlinkError) -> [String: Int] {
        var counts: [String: Int] = [:]
        for reply in try socket.dump(NFBatch.rules(of: name)) {
            if let chain = NFBatch.chain(of: reply, table: name) { counts[chain, default: 0] += 1 }
        }
        return counts
    }

    private static func expectedCounts(_ table: NFTable) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: table.chains.map { ($0.name, $0.rules.count) })
    }
}

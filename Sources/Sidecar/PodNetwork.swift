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

    /// Puts the return path's rules and routes in place, or takes them away.
    ///
    /// - Parameter didPart: told of each of the four when it is done.
    static func setReturnPath(
        removes: Bool,
        didPart: () -> Void = {}
    ) throws(NetlinkError) {
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
            for message in removes ? [rule, route] : [route, rule] {
                try perform(message, &socket, removes: removes)
                didPart()
            }
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

    /// Applies a table in one transaction unless it is in place.
    ///
    /// - Parameter owner: the socket that owns the table, where one does.
    /// - Returns: whether it was in place.
    @discardableResult
    static func apply(_ table: NFTable, by owner: RulesSocket? = nil) throws(NetlinkError) -> Bool {
        if try difference(from: table) == nil { return true }
        try perform(NFBatch.replace(table), by: owner)
        return false
    }

    private static func perform(
        _ batch: [NetlinkMessage],
        by owner: RulesSocket?
    ) throws(NetlinkError) {
        if let owner { return try owner.perform(batch) }
        var socket = try open(.netfilter)
        try socket.perform(batch)
    }

    /// What the kernel's table has that `table` has not, or the other way round: its version, then
    /// each rule of each chain with all of its expressions. `nil`: it is exactly this table.
    static func difference(from table: NFTable) throws(NetlinkError) -> String? {
        var socket = try open(.netfilter)
        guard let reply = try reply(&socket, about: table.name) else {
            return "expected rules \(table.version), found none"
        }
        let found = NFBatch.version(of: reply)
        guard found == table.version else {
            return "expected rules \(table.version), found \(found ?? "some without a version")"
        }
        guard NFBatch.hasFlags(reply, of: table) else {
            return "expected table \(table.name) awake and \(table.isOwned ? "owned" : "lasting"),"
                + " found it otherwise"
        }
        if let fault = try chainFault(&socket, table) { return fault }
        var rules: [String: [NFRuleReadback]] = [:]
        for reply in try socket.dump(NFBatch.rules(of: table.name)) {
            guard let rule = NFRuleReadback(reply), rule.table == table.name else { continue }
            rules[rule.chain, default: []].append(rule)
        }
        for chain in table.chains {
            let present = rules.removeValue(forKey: chain.name) ?? []
            guard present.count == chain.rules.count else {
                return "chain \(chain.name): expected \(chain.rules.count) rules,"
                    + " found \(present.count)"
            }
            for (wanted, rule) in zip(chain.rules, present) where !rule.isExactly(wanted) {
                return "chain \(chain.name): expected rule \"\(wanted.name)\", found another"
            }
        }
        return nil
    }

    private static func chainFault(
        _ socket: inout NetlinkSocket,
        _ table: NFTable
    ) throws(NetlinkError) -> String? {
        let present = try socket.dump(NFBatch.chains()).compactMap(NFChainReadback.init)
            .filter { $0.table == table.name }
        for chain in table.chains {
            guard present.contains(where: { $0.isExactly(chain) }) else {
                return "chain \(chain.name) is missing, or hooked in elsewhere"
            }
        }
        let known = Set(table.chains.map(\.name))
        return present.map(\.name).filter { !known.contains($0) }.min().map {
            "chain \($0) is not ours"
        }
    }

    /// Which table takes connections already, if one other than ours does.
    static func foreignCapture() throws(NetlinkError) -> String? {
        var socket = try open(.netfilter)
        for reply in try socket.dump(NFBatch.allRules()) {
            guard let rule = NFRuleReadback(reply), rule.takesConnections,
                rule.table != CaptureConstants.tableName
            else { continue }
            return "table \(rule.table), chain \(rule.chain)"
        }
        return nil
    }

    /// What is missing of the return path; `nil`: its rules and routes are there.
    static func returnPathFault(needsIPv6: Bool) throws(NetlinkError) -> String? {
        var socket = try open(.route)
        for isIPv4 in needsIPv6 ? [true, false] : [true] {
            let family = isIPv4 ? "IPv4" : "IPv6"
            let rules = try socket.dump(RouteRequest.rules(isIPv4: isIPv4))
            let hasRule = rules.contains {
                RouteRequest.isRule(
                    $0,
                    mark: CaptureConstants.returnMark,
                    table: CaptureConstants.routeTable,
                    priority: CaptureConstants.rulePriority
                )
            }
            guard hasRule else { return "the \(family) rule of the return path is missing" }
            let routes = try socket.dump(RouteRequest.routes(isIPv4: isIPv4))
            let hasRoute = routes.contains {
                RouteRequest.isLocalRoute(
                    $0,
                    loopbackIndex: 1,
                    table: CaptureConstants.routeTable
                )
            }
            guard hasRoute else { return "the \(family) route of the return path is missing" }
        }
        return nil
    }

    /// Which of the capture ports nobody listens on.
    static func missingListeners(needsIPv6: Bool) throws(NetlinkError) -> [UInt16] {
        let wanted = [CaptureConstants.outboundPort, CaptureConstants.inboundPort]
        var missing: [UInt16] = []
        for isIPv4 in needsIPv6 ? [true, false] : [true] {
            var socket = try open(.diagnosis)
            let replies = try socket.dump(SocketDiagnosis.listeners(isIPv4: isIPv4))
            let found = Set(replies.compactMap(SocketDiagnosis.port(of:)))
            missing += wanted.filter { !found.contains($0) }
        }
        return missing
    }

    /// Takes away what an agent left, all of it or a part: table, rules and routes.
    static func removeLeftovers() throws(NetlinkError) {
        var socket = try open(.netfilter)
        let found = try reply(&socket, about: CaptureConstants.tableName)
        let version = found.flatMap { NFBatch.version(of: $0) } ?? ""
        if version.hasPrefix(CapturePlan.versionPrefix) { try removeTable() }
        try setReturnPath(removes: true)
    }

    /// Takes the table away, if it is there.
    ///
    /// - Parameter owner: the socket that owns the table, where one does.
    static func removeTable(by owner: RulesSocket? = nil) throws(NetlinkError) {
        try perform(NFBatch.remove(CaptureConstants.tableName), by: owner)
    }

    static func open(_ bus: NetlinkSocket.Bus) throws(NetlinkError) -> NetlinkSocket {
        do throws(Errno) {
            return try NetlinkSocket(bus)
        } catch {
            throw NetlinkError(subject: "netlink socket", errno: error)
        }
    }

    /// What the kernel says of a table; `nil` where there is none.
    private static func reply(
        _ socket: inout NetlinkSocket,
        about name: String
    ) throws(NetlinkError) -> NetlinkReply? {
        do throws(NetlinkError) {
            return try socket.dump(NFBatch.table(name)).first
        } catch {
            guard error.errno == .notFound else { throw error }
            return nil
        }
    }
}

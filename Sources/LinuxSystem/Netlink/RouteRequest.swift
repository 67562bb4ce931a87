import Addressing

/// Requests to rtnetlink (`rtnetlink(7)`): the policy rule and the local route of captured pods,
/// and questions about addresses.
package enum RouteRequest {
    private static let newAddress: UInt16 = 20
    private static let getAddress: UInt16 = 22
    private static let newRoute: UInt16 = 24
    private static let deleteRoute: UInt16 = 25
    private static let newRule: UInt16 = 32
    private static let deleteRule: UInt16 = 33

    private static func family(_ isIPv4: Bool) -> UInt8 { isIPv4 ? 2 : 10 }

    /// `ip rule fwmark MARK/MARK lookup TABLE`.
    package static func rule(
        isIPv4: Bool,
        mark: UInt32,
        table: UInt32,
        priority: UInt32,
        removes: Bool
    ) -> NetlinkMessage {
        var message = NetlinkMessage(
            type: removes ? deleteRule : newRule,
            flags: removes ? .acknowledge : [.acknowledge, .create, .exclusive],
            subject: "\(isIPv4 ? "IPv4" : "IPv6") rule for mark \(mark)"
        )
        message.append([family(isIPv4), 0, 0, 0, 0, 0, 0, 1])
        message.append(UInt32(0))
        message.attribute(6, host: priority)
        message.attribute(10, host: mark)
        message.attribute(15, host: table)
        message.attribute(16, host: mark)
        return message
    }

    /// `ip route local default dev lo table TABLE`.
    package static func localRoute(
        isIPv4: Bool,
        loopbackIndex: UInt32,
        table: UInt32,
        removes: Bool
    ) -> NetlinkMessage {
        var message = NetlinkMessage(
            type: removes ? deleteRoute : newRoute,
            flags: removes ? .acknowledge : [.acknowledge, .create, .replace],
            subject: "\(isIPv4 ? "IPv4" : "IPv6") local route of table \(table)"
        )
        message.append([family(isIPv4), 0, 0, 0, UInt8(truncatingIfNeeded: table), 4, 254, 2])
        message.append(UInt32(0))
        message.attribute(15, host: table)
        message.attribute(4, host: loopbackIndex)
        return message
    }

    /// Asks for all addresses.
    package static func addresses() -> NetlinkMessage {
        var message = NetlinkMessage(type: getAddress, flags: .dump, subject: "addresses")
        message.append([0, 0, 0, 0])
        message.append(UInt32(0))
        return message
    }

    /// The address in an answer to `addresses`.
    package static func address(of reply: NetlinkReply) -> IPAddress? {
        guard reply.type == newAddress else { return nil }
        let attributes = reply.attributes(after: 8)
        return (attributes[2] ?? attributes[1]).flatMap { IPAddress(networkBytes: $0) }
    }

    /// Asks for all policy rules of a family.
    package static func rules(isIPv4: Bool) -> NetlinkMessage {
        var message = NetlinkMessage(type: 34, flags: .dump, subject: "policy rules")
        message.append([family(isIPv4), 0, 0, 0])
        message.append(UInt64(0))
        return message
    }

    /// Whether an answer to `rules` is the rule that `rule` makes.
    package static func isRule(
        _ reply: NetlinkReply,
        mark: UInt32,
        table: UInt32,
        priority: UInt32
    ) -> Bool {
        let found = reply.attributes(after: 12)
        func has(_ type: UInt16, _ number: UInt32) -> Bool {
            guard let value = found[type], value.count == 4 else { return false }
            return UInt32(truncatingIfNeeded: NetlinkReply.number(value, 0, 4)) == number
        }
        return has(6, priority) && has(10, mark) && has(15, table) && has(16, mark)
    }

    /// Asks for all routes of a family.
    package static func routes(isIPv4: Bool) -> NetlinkMessage {
        var message = NetlinkMessage(type: 26, flags: .dump, subject: "routes")
        message.append([family(isIPv4), 0, 0, 0, 0, 0, 0, 0])
        message.append(UInt32(0))
        return message
    }

    /// Whether an answer to `routes` is the route that `localRoute` makes.
    package static func isLocalRoute(
        _ reply: NetlinkReply,
        loopbackIndex: UInt32,
        table: UInt32
    ) -> Bool {
        let found = reply.attributes(after: 12)
        guard reply.payload.count >= 12, reply.payload[1] == 0, reply.payload[7] == 2,
            let device = found[4], let number = found[15], device.count == 4, number.count == 4
        else { return false }
        return NetlinkReply.number(device, 0, 4) == Int64(loopbackIndex)
            && NetlinkReply.number(number, 0, 4) == Int64(table)
    }
}

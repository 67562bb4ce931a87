import Addressing
import LinuxSystem
import MeshModel

/// Ports, marks and tables of capture inside a pod; part of the contract.
package enum CaptureConstants {
    /// Where outbound connections are redirected to.
    package static let outboundPort: UInt16 = 15_001
    /// Where inbound connections are redirected to.
    package static let inboundPort: UInt16 = 15_006
    /// On packets of the agent's own sockets.
    package static let ownMark: UInt32 = 0x2000
    /// On what must come back to the agent.
    package static let returnMark: UInt32 = 0x1000
    /// The nf_tables table.
    package static let tableName = "martlet"
    /// The routing table of the return path.
    package static let routeTable: UInt32 = 100
    /// The priority of its policy rule.
    package static let rulePriority: UInt32 = 32_764
    /// Changes when the rules' meaning does, so that rules of another version are replaced.
    static let layout = 1
}

/// The rules of one captured pod, as values.
package enum CapturePlan {
    /// The table that takes the pod's traffic.
    ///
    /// - Parameter failMode: whether the table outlives the agent; it is part of the version.
    package static func table(
        _ exclusions: Workload.Exclusions,
        _ failMode: CaptureFailMode = .closed
    ) -> NFTable {
        named("on", failMode) { [outbound(exclusions), inbound(exclusions), returnPath()] }
    }

    /// The table that takes nothing new and lets captured connections go on: the chains stay, each
    /// with one rule that no packet meets.
    package static func lettingGo(_ failMode: CaptureFailMode = .closed) -> NFTable {
        let dead = NFRule(
            "none",
            isTCP + [
                .loadPayload(base: .transport, offset: 2, byteCount: 2),
                .compare(.equal, [0, 0]), .redirect(port: CaptureConstants.outboundPort),
            ]
        )
        return named("off", failMode) {
            [
                .init(name: "out", type: "nat", hook: .output, priority: -100, rules: [dead]),
                .init(name: "in", type: "nat", hook: .prerouting, priority: -100, rules: [dead]),
                returnPath(),
            ]
        }
    }

    /// A table whose version says what is in it, so that an agent knows its own rules again.
    private static func named(
        _ state: String,
        _ failMode: CaptureFailMode,
        _ chains: () -> [NFTable.Chain]
    ) -> NFTable {
        let made = chains()
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in String(describing: made).utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let parts = [
            "\(CaptureConstants.layout)", failMode.rawValue, state, String(hash, radix: 16),
        ]
        return NFTable(
            name: CaptureConstants.tableName,
            version: versionPrefix + parts.joined(separator: "-"),
            isOwned: failMode == .open,
            chains: made
        )
    }

    /// What the version of every table of ours begins with.
    static let versionPrefix = "martlet-"

    // MARK: Chains

    private static func outbound(_ exclusions: Workload.Exclusions) -> NFTable.Chain {
        var rules = beginnings
        rules.append(NFRule("own sockets", hasMark(CaptureConstants.ownMark) + [.leave]))
        rules.append(
            NFRule("loopback", [.loadMeta(.outputName), .compare(.equal, interface("lo")), .leave])
        )
        rules += exclusions.outboundPorts.map { excluded("excluded outbound port", $0) }
        rules += exclusions.outboundPrefixes.map(excluded)
        rules.append(
            NFRule(
                "the pod itself",
                [.loadDestinationType, .compare(.equal, host(2)), .leave]
            )
        )
        rules.append(
            NFRule(
                "take outbound",
                [.counter, .redirect(port: CaptureConstants.outboundPort)]
            )
        )
        return .init(name: "out", type: "nat", hook: .output, priority: -100, rules: rules)
    }

    private static func inbound(_ exclusions: Workload.Exclusions) -> NFTable.Chain {
        var rules = beginnings
        rules.append(
            NFRule("loopback", [.loadMeta(.inputName), .compare(.equal, interface("lo")), .leave])
        )
        rules += exclusions.inboundPorts.map { excluded("excluded inbound port", $0) }
        rules.append(
            NFRule(
                "not for the pod",
                [.loadDestinationType, .compare(.notEqual, host(2)), .leave]
            )
        )
        rules.append(
            NFRule("take inbound", [.counter, .redirect(port: CaptureConstants.inboundPort)])
        )
        return .init(name: "in", type: "nat", hook: .prerouting, priority: -100, rules: rules)
    }

    /// Connections that the agent makes in a client's name are marked, and what the pod answers on
    /// them is led back to the agent instead of out of the pod.
    private static func returnPath() -> NFTable.Chain {
        let mark = CaptureConstants.returnMark
        let keep = host(~mark)
        return .init(
            name: "back",
            type: "route",
            hook: .output,
            priority: -150,
            rules: [
                NFRule(
                    "remember own connections",
                    hasMark(CaptureConstants.ownMark) + [
                        .loadConnection(.mark), .bitwise(mask: keep, flip: host(mark)),
                        .setConnectionMark,
                    ]
                ),
                NFRule(
                    "lead answers back",
                    [
                        .loadConnection(.direction), .compare(.equal, [1]),
                        .loadConnection(.mark), .bitwise(mask: host(mark), flip: host(0)),
                        .compare(.equal, host(mark)), .loadMeta(.mark),
                        .bitwise(mask: keep, flip: host(mark)), .setMark,
                    ]
                ),
            ]
        )
    }

    // MARK: Rules

    private static let isTCP: [NFExpression] = [
        .loadMeta(.transport), .compare(.equal, [6]),
    ]

    /// Nothing but TCP, and of that only connections that begin: what was open before goes on.
    private static let beginnings: [NFRule] = [
        NFRule("not TCP", [.loadMeta(.transport), .compare(.notEqual, [6]), .leave]),
        NFRule(
            "not a beginning",
            [
                .loadPayload(base: .transport, offset: 13, byteCount: 1),
                .bitwise(mask: [0x17], flip: [0]), .compare(.notEqual, [0x02]), .leave,
            ]
        ),
    ]

    private static func hasMark(_ mark: UInt32) -> [NFExpression] {
        [
            .loadMeta(.mark), .bitwise(mask: host(mark), flip: host(0)),
            .compare(.equal, host(mark)),
        ]
    }

    private static func excluded(_ name: String, _ ports: ClosedRange<UInt16>) -> NFRule {
        NFRule(
            "\(name) \(ports.lowerBound)-\(ports.upperBound)",
            [
                .loadPayload(base: .transport, offset: 2, byteCount: 2),
                .range(from: network(ports.lowerBound), through: network(ports.upperBound)),
                .leave,
            ]
        )
    }

    private static func excluded(_ prefix: IPPrefix) -> NFRule {
        let isIPv4 = prefix.base.isIPv4
        let byteCount = isIPv4 ? 4 : 16
        var expressions: [NFExpression] = [
            .loadMeta(.family), .compare(.equal, [isIPv4 ? 2 : 10]),
        ]
        if prefix.length > 0 {
            let mask = (0..<byteCount).map { index in
                UInt8(truncatingIfNeeded: 0xff00 >> min(max(prefix.length - 8 * index, 0), 8))
            }
            expressions += [
                .loadPayload(
                    base: .network,
                    offset: isIPv4 ? 16 : 24,
                    byteCount: UInt32(byteCount)
                ),
                .bitwise(mask: mask, flip: Array(repeating: 0, count: byteCount)),
                .compare(.equal, prefix.base.networkBytes),
            ]
        }
        return NFRule("excluded outbound \(prefix)", expressions + [.leave])
    }

    /// Four bytes in host byte order, as marks and address types stand in registers.
    private static func host(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value.littleEndian >> UInt32(8 * $0)) }
    }

    private static func network(_ port: UInt16) -> [UInt8] {
        [UInt8(port >> 8), UInt8(port & 255)]
    }

    /// An interface name fills sixteen bytes.
    private static func interface(_ name: String) -> [UInt8] {
        let bytes = Array(name.utf8)
        return bytes + Array(repeating: 0, count: 16 - bytes.count)
    }
}

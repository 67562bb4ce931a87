/// A rule as the kernel tells it, and whether it is one of ours.
package struct NFRuleReadback: Sendable {
    private static let fixedByteCount = 4
    private static let expressionsType: UInt16 = 4
    private static let userdataType: UInt16 = 7

    /// The table it is in.
    package let table: String
    /// The chain it is in.
    package let chain: String
    /// The name given to it, from its user data.
    package let name: String
    private let expressions: [(name: String, body: ArraySlice<UInt8>)]

    /// Reads one answer of a dump of rules; `nil` for another message.
    package init?(_ reply: NetlinkReply) {
        let list = NetlinkAttribute.list(reply.payload.dropFirst(NFRuleReadback.fixedByteCount))
        func text(_ type: UInt16) -> String {
            let value = list.first { $0.type == type }?.value ?? []
            return String(decoding: value.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard list.contains(where: { $0.type == 1 }), list.contains(where: { $0.type == 2 }) else {
            return nil
        }
        table = text(1)
        chain = text(2)
        name = text(NFRuleReadback.userdataType)
        let body = list.first { $0.type == NFRuleReadback.expressionsType }?.value ?? []
        expressions = NFRuleReadback.expressions(in: body)
    }

    private static func expressions(
        in body: ArraySlice<UInt8>
    ) -> [(name: String, body: ArraySlice<UInt8>)] {
        NetlinkAttribute.list(body).map { element in
            let parts = NetlinkAttribute.list(element.value)
            let name = parts.first { $0.type == 1 }?.value ?? []
            return (
                String(decoding: name.prefix { $0 != 0 }, as: UTF8.self),
                parts.first { $0.type == 2 }?.value ?? []
            )
        }
    }

    /// Whether the kernel's rule is `rule`: the same name and the same expressions in the same
    /// order, each with every attribute that was asked for. What the kernel adds, such as counts,
    /// is passed over.
    package func isExactly(_ rule: NFRule) -> Bool {
        let message = NFBatch.newRule(rule, chain, table).finished(sequence: 0)
        let list = NetlinkAttribute.list(message.dropFirst(16 + NFRuleReadback.fixedByteCount))
        let asked = NFRuleReadback.expressions(
            in: list.first { $0.type == NFRuleReadback.expressionsType }?.value ?? []
        )
        guard name == rule.name, asked.count == expressions.count else { return false }
        return zip(asked, expressions).allSatisfy { asked, found in
            asked.name == found.name && NetlinkAttribute.contains(found.body, asked.body)
        }
    }

    /// Whether the rule takes connections to a proxy: `redirect` or `tproxy`, or the same by
    /// iptables on nf_tables.
    package var takesConnections: Bool {
        expressions.contains { expression in
            if expression.name == "redir" || expression.name == "tproxy" { return true }
            guard expression.name == "target" else { return false }
            let target = NetlinkAttribute.list(expression.body).first { $0.type == 1 }?.value ?? []
            let name = String(decoding: target.prefix { $0 != 0 }, as: UTF8.self)
            return name == "REDIRECT" || name == "TPROXY"
        }
    }
}

/// A chain as the kernel tells it, and whether it is one of ours.
package struct NFChainReadback: Sendable {
    /// The table it is in.
    package let table: String
    /// Its name.
    package let name: String
    private let type: String
    private let hook: [UInt16: UInt32]

    /// Reads one answer to `NFBatch.chains`; `nil` for another message.
    package init?(_ reply: NetlinkReply) {
        let list = NetlinkAttribute.list(reply.payload.dropFirst(4))
        func value(_ type: UInt16) -> ArraySlice<UInt8> {
            list.first { $0.type == type }?.value ?? []
        }
        table = String(decoding: value(1).prefix { $0 != 0 }, as: UTF8.self)
        name = String(decoding: value(3).prefix { $0 != 0 }, as: UTF8.self)
        type = String(decoding: value(7).prefix { $0 != 0 }, as: UTF8.self)
        hook = NetlinkAttribute.list(value(4)).reduce(into: [:]) { hook, attribute in
            hook[attribute.type] = attribute.value.reduce(0) { $0 << 8 | UInt32($1) }
        }
        guard !table.isEmpty, !name.isEmpty else { return nil }
    }

    /// Whether it is `chain`: the same name and type, hooked in at the same place and priority.
    package func isExactly(_ chain: NFTable.Chain) -> Bool {
        name == chain.name && type == chain.type && hook[1] == chain.hook.rawValue
            && hook[2] == UInt32(bitPattern: chain.priority)
    }
}

/// One attribute of a netlink message.
package struct NetlinkAttribute: Equatable, Sendable {
    /// Its type, without flags.
    package let type: UInt16
    /// Whether it says that it holds attributes.
    package let isNested: Bool
    /// Its value.
    package let value: ArraySlice<UInt8>

    /// Splits bytes into attributes, in order; stops at what is malformed.
    package static func list(_ bytes: ArraySlice<UInt8>) -> [NetlinkAttribute] {
        var found: [NetlinkAttribute] = []
        var rest = bytes
        while rest.count >= 4 {
            let head = Array(rest.prefix(4))
            let length = Int(head[0]) | Int(head[1]) << 8
            let type = UInt16(head[2]) | UInt16(head[3]) << 8
            guard length >= 4, length <= rest.count else { break }
            found.append(
                NetlinkAttribute(
                    type: type & 0x3fff,
                    isNested: type & 0x8000 != 0,
                    value: rest.dropFirst(4).prefix(length - 4)
                )
            )
            rest = rest.dropFirst(min((length + 3) & ~3, rest.count))
        }
        return found
    }

    /// Whether every attribute of `asked` is in `found` with the same value, nested ones likewise.
    static func contains(_ found: ArraySlice<UInt8>, _ asked: ArraySlice<UInt8>) -> Bool {
        let present = list(found)
        return list(asked).allSatisfy { wanted in
            present.contains { candidate in
                guard candidate.type == wanted.type else { return false }
                return wanted.isNested
                    ? contains(candidate.value, wanted.value)
                    : candidate.value.elementsEqual(wanted.value)
            }
        }
    }
}

extension NFBatch {
    /// Asks for all chains of the `inet` family.
    package static func chains() -> NetlinkMessage {
        var message = NetlinkMessage(type: 10 << 8 | 4, flags: .dump, subject: "chains")
        message.append([1, 0, 0, 0])
        return message
    }

    /// Asks for all rules of all families and tables.
    package static func allRules() -> NetlinkMessage {
        var message = NetlinkMessage(type: 10 << 8 | 7, flags: .dump, subject: "all rules")
        message.append([0, 0, 0, 0])
        return message
    }
}

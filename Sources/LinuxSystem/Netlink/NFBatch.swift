/// nf_tables requests: batches that replace a whole table at once, and questions.
package enum NFBatch {
    private enum Message: UInt16 {
        case newTable = 0
        case getTable = 1
        case deleteTable = 2
        case newChain = 3
        case newRule = 6
        case getRule = 7
    }

    /// `AF_INET` and `AF_INET6` alike.
    private static let inet: UInt8 = 1
    /// `NFT_TABLE_F_OWNER`.
    private static let ownerFlag: UInt32 = 2

    /// Replaces a table whole: adding, deleting and adding again works whether it is there or not,
    /// and the kernel does all of it or nothing. A table that is owned can be replaced by its
    /// owner's socket alone.
    package static func replace(_ table: NFTable) -> [NetlinkMessage] {
        var messages = [
            boundary(isBegin: true), presentTable(table.name), deleteTable(table.name),
        ]
        messages.append(newTable(table))
        for chain in table.chains {
            messages.append(newChain(chain, table.name))
            for rule in chain.rules { messages.append(newRule(rule, chain.name, table.name)) }
        }
        return acknowledged(messages)
    }

    /// Deletes a table that may be there or not.
    package static func remove(_ name: String) -> [NetlinkMessage] {
        acknowledged([boundary(isBegin: true), presentTable(name), deleteTable(name)])
    }

    /// The last request before the end asks for an acknowledgement.
    private static func acknowledged(_ messages: [NetlinkMessage]) -> [NetlinkMessage] {
        var messages = messages
        let last = messages.count - 1
        messages[last] = messages[last].acknowledging()
        messages.append(boundary(isBegin: false))
        return messages
    }

    /// Asks for a table; its version is in the answer's user data.
    package static func table(_ name: String) -> NetlinkMessage {
        var message = header(.getTable, [], "table \(name)")
        message.attribute(1, name)
        return message
    }

    /// Asks for a table's rules.
    package static func rules(of name: String) -> NetlinkMessage {
        var message = header(.getRule, .dump, "rules of table \(name)")
        message.attribute(1, name)
        return message
    }

    /// The version in an answer to `table`.
    package static func version(of reply: NetlinkReply) -> String? {
        reply.attributes(after: 4)[6].map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether the flags in an answer to `table` are those of a table: owned or not, and not
    /// dormant.
    package static func hasFlags(_ reply: NetlinkReply, of table: NFTable) -> Bool {
        let found = reply.attributes(after: 4)[2] ?? [0, 0, 0, 0]
        return found == [0, 0, 0, UInt8(flags(of: table))]
    }

    private static func flags(of table: NFTable) -> UInt32 { table.isOwned ? ownerFlag : 0 }

    // MARK: Messages

    private static func header(
        _ kind: Message,
        _ flags: NetlinkMessage.Flags,
        _ subject: String
    ) -> NetlinkMessage {
        var message = NetlinkMessage(type: 10 << 8 | kind.rawValue, flags: flags, subject: subject)
        message.append([inet, 0, 0, 0])
        return message
    }

    /// Begin and end of a batch; the resource is nf_tables, in network byte order.
    private static func boundary(isBegin: Bool) -> NetlinkMessage {
        var message = NetlinkMessage(
            type: isBegin ? 0x10 : 0x11,
            flags: [],
            subject: isBegin ? "batch" : "end of batch"
        )
        message.append([0, 0, 0, 10])
        return message
    }

    /// Has a table be there, whatever it is: without flags nothing of one that is there changes.
    private static func presentTable(_ name: String) -> NetlinkMessage {
        var message = header(.newTable, .create, "table \(name)")
        message.attribute(1, name)
        return message
    }

    private static func newTable(_ table: NFTable) -> NetlinkMessage {
        var message = header(.newTable, .create, "table \(table.name)")
        message.attribute(1, table.name)
        message.attribute(2, network: flags(of: table))
        if !table.version.isEmpty { message.attribute(6, Array(table.version.utf8)) }
        return message
    }

    private static func deleteTable(_ name: String) -> NetlinkMessage {
        var message = header(.deleteTable, [], "table \(name)")
        message.attribute(1, name)
        return message
    }

    private static func newChain(_ chain: NFTable.Chain, _ table: String) -> NetlinkMessage {
        var message = header(.newChain, .create, "chain \(chain.name)")
        message.attribute(1, table)
        message.attribute(3, chain.name)
        message.nested(4) { hook in
            hook.attribute(1, network: chain.hook.rawValue)
            hook.attribute(2, network: UInt32(bitPattern: chain.priority))
        }
        message.attribute(5, network: 1)
        message.attribute(7, chain.type)
        return message
    }

    static func newRule(_ rule: NFRule, _ chain: String, _ table: String) -> NetlinkMessage {
        var message = header(.newRule, [.create, .append], "rule \"\(rule.name)\"")
        message.attribute(1, table)
        message.attribute(2, chain)
        message.nested(4) { list in
            for expression in rule.expressions {
                for part in NFEncoder.parts(expression) {
                    list.nested(1) { element in
                        element.attribute(1, part.name)
                        element.nested(2, part.body)
                    }
                }
            }
        }
        message.attribute(7, Array(rule.name.utf8.prefix(200)))
        return message
    }
}

extension NetlinkMessage {
    /// The same message, asking for an acknowledgement.
    func acknowledging() -> NetlinkMessage {
        var copy = self
        copy.setFlags(.acknowledge)
        return copy
    }
}

/// Expressions as nf_tables attributes.
private enum NFEncoder {
    typealias Part = (name: String, body: (inout NetlinkMessage) -> Void)

    /// The register that values travel in.
    private static let register: UInt32 = 1

    static func parts(_ expression: NFExpression) -> [Part] {
        switch expression {
        case .loadMeta(let key):
            return [part("meta", [(1, register), (2, key.rawValue)])]
        case .loadPayload(let base, let offset, let byteCount):
            return [
                part("payload", [(1, register), (2, base.rawValue), (3, offset), (4, byteCount)])
            ]
        case .loadConnection(let key): return [part("ct", [(1, register), (2, key.rawValue)])]
        case .loadDestinationType: return [part("fib", [(1, register), (2, 3), (3, 2)])]
        case .bitwise(let mask, let flip): return [bitwise(mask, flip)]
        case .compare(let comparison, let value): return [compare(comparison, value)]
        case .range(let from, let through): return [range(from, through)]
        case .setMark:
            return [part("meta", [(2, NFExpression.Meta.mark.rawValue), (3, register)])]
        case .setConnectionMark:
            return [part("ct", [(2, NFExpression.Connection.mark.rawValue), (4, register)])]
        case .redirect(let port):
            return [
                (
                    "immediate",
                    { message in
                        message.attribute(1, network: register)
                        data(&message, 2, [UInt8(port >> 8), UInt8(port & 255)])
                    }
                ), part("redir", [(1, register)]),
            ]
        case .leave: return [leave()]
        case .counter: return [("counter", { _ in })]
        }
    }

    private static func part(_ name: String, _ attributes: [(UInt16, UInt32)]) -> Part {
        (
            name,
            { message in
                for (type, number) in attributes { message.attribute(type, network: number) }
            }
        )
    }

    private static func data(_ message: inout NetlinkMessage, _ type: UInt16, _ value: [UInt8]) {
        message.nested(type) { $0.attribute(1, value) }
    }

    private static func bitwise(_ mask: [UInt8], _ flip: [UInt8]) -> Part {
        (
            "bitwise",
            { message in
                message.attribute(1, network: register)
                message.attribute(2, network: register)
                message.attribute(3, network: UInt32(mask.count))
                data(&message, 4, mask)
                data(&message, 5, flip)
            }
        )
    }

    private static func compare(_ comparison: NFExpression.Comparison, _ value: [UInt8]) -> Part {
        (
            "cmp",
            { message in
                message.attribute(1, network: register)
                message.attribute(2, network: comparison.rawValue)
                data(&message, 3, value)
            }
        )
    }

    private static func range(_ from: [UInt8], _ through: [UInt8]) -> Part {
        (
            "range",
            { message in
                message.attribute(1, network: register)
                message.attribute(2, network: 0)
                data(&message, 3, from)
                data(&message, 4, through)
            }
        )
    }

    /// `return`: a verdict of -5 (`NFT_RETURN`).
    private static func leave() -> Part {
        (
            "immediate",
            { message in
                message.attribute(1, network: 0)
                message.nested(2) { data in
                    data.nested(2) { $0.attribute(1, network: UInt32(bitPattern: -5)) }
                }
            }
        )
    }
}

import DataPlane
import MeshModel

/// `keyAuth`: knows a Consumer by a key in a header or the query.
struct KeyAuth: PluginDefinition {
    let name = "keyAuth"
    let order = PluginOrder(.authn, name: "keyAuth")
    let isConsumerPlugin = true

    /// Where a key may stand.
    struct Key: Equatable {
        enum Source: Equatable {
            case header
            case query
        }

        var name: String
        var source: Source
    }

    static func keys(_ configuration: JSONValue) throws(PluginFault) -> [Key] {
        var reader = try ConfigurationReader(configuration)
        guard let list = try reader.list("keys"), !list.isEmpty else {
            throw PluginFault("keys: expected at least one key, found none")
        }
        try reader.finish()
        var keys: [Key] = []
        for (index, item) in list.enumerated() {
            var key = try ConfigurationReader(item, path: "keys[\(index)]")
            let name = try key.requiredString("name")
            let source = try key.string("source") ?? "HEADER"
            try key.finish()
            switch source {
            case "HEADER": keys.append(Key(name: name, source: .header))
            case "QUERY": keys.append(Key(name: name, source: .query))
            default:
                throw PluginFault(
                    "keys[\(index)].source: expected HEADER or QUERY, found \"\(source)\""
                )
            }
        }
        return keys
    }

    func validate(_ configuration: JSONValue) throws(PluginFault) {
        _ = try KeyAuth.keys(configuration)
    }

    func validateCredential(_ credential: JSONValue) throws(PluginFault) {
        var reader = try ConfigurationReader(credential)
        _ = try reader.requiredString("key")
        try reader.finish()
    }

    func makeFilter(_ binding: PluginBinding, _ host: PluginHost) throws(PluginFault) -> Filter {
        KeyAuthFilter(try KeyAuth.keys(binding.configuration), binding, host)
    }
}

/// Looks for a key in the order configured; the first source that is there decides.
final class KeyAuthFilter: Filter, ConsumerAware {
    private let keys: [KeyAuth.Key]
    private let space: UInt64
    var host: PluginHost

    init(_ keys: [KeyAuth.Key], _ binding: PluginBinding, _ host: PluginHost) {
        self.keys = keys
        self.host = host
        space = ConsumerTable.space(binding.name, namespace: binding.policy.namespace)
        super.init(name: binding.name, phases: .requestHeaders)
    }

    public override func requestHeaders(
        _ context: FilterContext,
        endStream: Bool
    ) throws(FilterError) -> FilterAction {
        for key in keys {
            switch key.source {
            case .header:
                if let action = header(key.name, context) { return action }
            case .query:
                if let action = query(key.name, context) { return action }
            }
        }
        return .proceed
    }

    private func header(_ name: String, _ context: FilterContext) -> FilterAction? {
        let count = context.requestHeaderCount(name)
        guard count > 0 else { return nil }
        guard count == 1 else { return refuse("duplicate key found", context) }
        let consumer = context.withRequestHeader(name) {
            host.consumers.find(space: space, $0)
        }
        guard let consumer = consumer ?? nil else { return refuse("invalid key", context) }
        context.removeRequestHeader(name)
        return accept(consumer, context)
    }

    private func query(_ name: String, _ context: FilterContext) -> FilterAction? {
        let path = context.withPath { String(decodingBytes: $0) }
        guard let mark = path.firstIndex(of: "?") else { return nil }
        let fields = path[path.index(after: mark)...].split(
            separator: "&",
            omittingEmptySubsequences: true
        )
        var values: [String] = []
        var rest: [Substring] = []
        for field in fields {
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if PercentCoding.decode(parts[0]) == name {
                values.append(parts.count > 1 ? PercentCoding.decode(parts[1]) : "")
            } else {
                rest.append(field)
            }
        }
        guard let value = values.first else { return nil }
        guard values.count == 1 else { return refuse("duplicate key found", context) }
        let consumer = value.withBytes {
            host.consumers.find(space: space, $0)
        }
        guard let consumer else { return refuse("invalid key", context) }
        var forwarded = String(path[..<mark])
        if !rest.isEmpty { forwarded += "?" + rest.joined(separator: "&") }
        guard context.replacePath(forwarded) else {
            return .reply(LocalReply(status: 431))
        }
        return accept(consumer, context)
    }

    private func accept(_ consumer: Int32, _ context: FilterContext) -> FilterAction {
        context.consumer = consumer
        if let next = host.consumers.chains[context.chain]?[consumer] {
            context.goOn(with: next.chain, from: next.position)
        }
        return .proceed
    }

    private func refuse(_ message: String, _ context: FilterContext) -> FilterAction {
        .reply(PluginReply.message(401, message, context))
    }
}

/// Percent-encoding of query strings; `+` is a space (WHATWG URL, application/x-www-form-urlencoded).
enum PercentCoding {
    static func decode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+") {
                bytes.append(UInt8(ascii: " "))
            } else if byte == UInt8(ascii: "%"), rest.count >= 2,
                let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

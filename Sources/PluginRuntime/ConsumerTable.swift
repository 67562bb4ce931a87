import MeshModel

/// The consumers in force, by credential, and what follows once one is known. Immutable.
package final class ConsumerTable: Sendable {
    /// A consumer as filters see it.
    struct Entry: Sendable {
        var number: Int32
        var consumer: Consumer
    }

    private let byCredential: [String: [String: Entry]]
    /// The chain that goes on for a consumer, by the chain it was met in.
    let chains: [Int32: [Int32: (chain: Int32, position: Int)]]
    let entries: [Entry]

    /// Makes an empty table.
    init() {
        byCredential = [:]
        chains = [:]
        entries = []
    }

    init(
        _ consumers: [Consumer],
        chains: [Int32: [Int32: (chain: Int32, position: Int)]]
    ) {
        var byCredential: [String: [String: Entry]] = [:]
        var entries: [Entry] = []
        for (number, consumer) in consumers.enumerated() {
            let entry = Entry(number: Int32(number), consumer: consumer)
            entries.append(entry)
            for credential in consumer.auth {
                guard case .string(let key)? = credential.configuration["key"] else { continue }
                let space = "\(consumer.key.namespace)/\(credential.name)"
                // Of two consumers with one credential the first counts.
                if byCredential[space]?[key] == nil {
                    byCredential[space, default: [:]][key] = entry
                }
            }
        }
        self.byCredential = byCredential
        self.chains = chains
        self.entries = entries
    }

    /// Finds the consumer of a credential within a namespace.
    func find(_ plugin: String, namespace: String, _ key: RawSpan) -> Entry? {
        guard let known = byCredential["\(namespace)/\(plugin)"] else { return nil }
        return known.first { $0.key.isEqual(to: key) }?.value
    }
}

extension String {
    /// Whether the text's UTF-8 is exactly these bytes; takes the same time wherever they differ.
    func isEqual(to bytes: RawSpan) -> Bool {
        guard utf8.count == bytes.byteCount else { return false }
        var difference: UInt8 = 0
        var offset = 0
        for byte in utf8 {
            difference |= byte ^ bytes.loadByte(at: offset)
            offset += 1
        }
        return difference == 0
    }
}

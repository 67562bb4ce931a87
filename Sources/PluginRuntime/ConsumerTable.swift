import MeshModel

/// The consumers in force, by credential, and what follows once one is known. Immutable.
package final class ConsumerTable: Sendable {
    private struct Credential: Sendable {
        var space: UInt64
        var key: String
        var consumer: Int32
    }

    private let salt: UInt64
    private let credentials: [UInt64: [Credential]]
    /// The chain that goes on for a consumer, by the chain it was met in.
    let chains: [Int32: [Int32: (chain: Int32, position: Int)]]
    /// The consumers by number.
    let consumers: [Consumer]
    /// Credentials that another Consumer had before: why, by `consumer plugin`.
    let duplicates: [String: String]

    /// Makes an empty table.
    convenience init() { self.init([], chains: [:]) }

    /// Makes a table; of two consumers with one credential the first counts.
    init(
        _ consumers: [Consumer],
        chains: [Int32: [Int32: (chain: Int32, position: Int)]]
    ) {
        let salt = UInt64.random(in: .min ... .max)
        var credentials: [UInt64: [Credential]] = [:]
        var duplicates: [String: String] = [:]
        for (number, consumer) in consumers.enumerated() {
            for binding in consumer.auth {
                guard case .string(let key)? = binding.configuration["key"] else { continue }
                let space = ConsumerTable.space(binding.name, namespace: consumer.key.namespace)
                let hash = key.withBytes { ConsumerTable.hash(salt ^ space, $0) }
                let earlier = credentials[hash]?.first { $0.space == space && $0.key == key }
                if let earlier {
                    let owner = consumers[Int(earlier.consumer)].key
                    duplicates["\(consumer.key) \(binding.name)"] = "its key is \(owner)'s"
                    continue
                }
                credentials[hash, default: []]
                    .append(Credential(space: space, key: key, consumer: Int32(number)))
            }
        }
        self.salt = salt
        self.credentials = credentials
        self.chains = chains
        self.consumers = consumers
        self.duplicates = duplicates
    }

    /// The number of what one plugin's credentials are told apart within: a namespace.
    static func space(_ plugin: String, namespace: String) -> UInt64 {
        "\(namespace)/\(plugin)".withBytes { hash(0, $0) }
    }

    /// Finds the consumer of a credential; allocates nothing.
    func find(space: UInt64, _ key: RawSpan) -> Int32? {
        guard let candidates = credentials[ConsumerTable.hash(salt ^ space, key)] else {
            return nil
        }
        for candidate in candidates
        where candidate.space == space && candidate.key.isEqual(to: key) {
            return candidate.consumer
        }
        return nil
    }

    private static func hash(_ seed: UInt64, _ bytes: RawSpan) -> UInt64 {
        var hash = seed ^ 0xcbf2_9ce4_8422_2325
        for offset in 0..<bytes.byteCount {
            hash = (hash ^ UInt64(bytes.loadByte(at: offset))) &* 0x100_0000_01b3
        }
        return hash ^ hash >> 32
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

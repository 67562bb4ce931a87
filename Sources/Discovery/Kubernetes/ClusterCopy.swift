import LinuxSystem
import MeshModel

/// The copy of a cluster's objects: bytes of lists and watches in, changes of the store out. A value;
/// connections, time and randomness are the caller's.
package struct ClusterCopy: Sendable {
    /// The objects.
    package private(set) var store: ObjectStore
    /// What is to be kept on disk; `nil` for nothing.
    var mirror: ObjectMirror?
    private var machines: [ObjectKind: WatchMachine] = [:]
    private let location: String

    /// Makes an empty copy.
    ///
    /// - Parameters:
    ///   - location: the API server's URL, for `/objects`.
    package init(location: String, validate: @escaping @Sendable (KubernetesObject) -> String?) {
        self.location = location
        store = ObjectStore(validate: validate)
    }

    // MARK: Kinds

    /// Takes what the mirror holds, marked stale.
    ///
    /// - Returns: whether it held anything.
    mutating func loadMirror() -> Bool {
        let loaded = mirror?.load() ?? []
        var known: [ObjectKind: [ObjectKey: String]] = [:]
        for (key, json) in loaded {
            // Whatever version the server has is news: it ends the staleness.
            known[key.kind, default: [:]][key] = ""
            take(key, json, isStale: true)
        }
        for (kind, keys) in known { machines[kind] = WatchMachine(known: keys) }
        return !loaded.isEmpty
    }

    /// Begins to follow a kind, if it is not followed yet.
    package mutating func follow(_ kind: ObjectKind) {
        if machines[kind] == nil { machines[kind] = WatchMachine() }
    }

    /// Whether a kind's list has been complete once.
    package func isSynced(_ kind: ObjectKind) -> Bool { machines[kind]?.isSynced == true }

    /// Lists begun again because the server had forgotten a version.
    package var relistCount: UInt64 { machines.values.reduce(0) { $0 + $1.relistCount } }

    /// What to do next for a kind that is followed.
    package mutating func next(_ kind: ObjectKind) -> WatchMachine.Action? {
        machines[kind]?.next()
    }

    /// A list or watch of a kind failed.
    package mutating func failed(_ kind: ObjectKind, _ fault: WatchMachine.Fault, random: UInt64) {
        machines[kind]?.failed(fault, random: random)
    }

    /// A kind is asked for in another way: from a new list on, at once.
    mutating func restart(_ kind: ObjectKind) { machines[kind]?.restart() }

    /// A watch ended in good order.
    package mutating func watchEnded(_ kind: ObjectKind, lived: Duration, random: UInt64) {
        machines[kind]?.watchEnded(lived: lived, random: random)
    }

    // MARK: Bytes

    /// Bytes of a page of a list came.
    package mutating func receivedList(
        _ resource: APIResource,
        _ bytes: [UInt8],
        _ splitter: inout ListItemSplitter
    ) throws(WatchMachine.Fault) {
        let items: [[UInt8]]
        do {
            items = try splitter.append(bytes)
        } catch {
            throw .malformed
        }
        for item in items {
            guard let envelope = try? ObjectEnvelope(json: item),
                let key = envelope.key(resource.kind)
            else { throw .malformed }
            let version = envelope.version.resourceVersion
            guard machines[resource.kind]?.listed(key, resourceVersion: version) == true else {
                continue
            }
            take(key, ClusterCopy.typed(item, resource))
        }
    }

    /// A page of a list came to its end.
    package mutating func endedList(
        _ resource: APIResource,
        _ splitter: inout ListItemSplitter
    ) throws(WatchMachine.Fault) {
        guard let rest = try? splitter.finish(), let envelope = try? ObjectEnvelope(json: rest)
        else { throw .malformed }
        let gone =
            machines[resource.kind]?.pageEnded(
                resourceVersion: envelope.version.resourceVersion,
                continueToken: envelope.continueToken
            ) ?? []
        for key in gone { remove(key) }
    }

    /// Bytes of a watch came.
    ///
    /// - Throws: `ended` where the server ended the watch with an error, which is seen to already.
    package mutating func receivedWatch(
        _ resource: APIResource,
        _ bytes: [UInt8],
        _ splitter: inout WatchLineSplitter,
        random: UInt64
    ) throws(WatchMachine.Fault) {
        let lines: [[UInt8]]
        do {
            lines = try splitter.append(bytes)
        } catch {
            throw .malformed
        }
        for line in lines {
            guard let parsed = try? WatchLine(line, kind: resource.kind) else { throw .malformed }
            switch (machines[resource.kind]?.received(parsed.event, random: random), parsed.event) {
            case (.upsert, .changed(let key, _)): take(key, Array(line[parsed.objectRange]))
            case (.delete, .deleted(let key, _)): remove(key)
            case (.ended, _): throw .ended
            default: break
            }
        }
    }

    // MARK: Objects

    /// Takes one object's text into the store, or notes why it is refused.
    private mutating func take(_ key: ObjectKey, _ json: [UInt8], isStale: Bool = false) {
        do {
            switch ObjectDecoder.decode(try DocumentNode(json: json)) {
            case .object(let object) where object.key == key:
                if store.accept(object, location: location, isStale: isStale), !isStale {
                    if object.content == .configMap([:]) {
                        mirror?.drop(key)
                    } else {
                        mirror?.keep(key, json)
                    }
                }
            case .refused(_, let meta, let content, let found):
                let reason = found.map(\.reason).joined(separator: "; ")
                store.refuse(key, meta, content, reason: reason, location: location)
            case .object, .list, .other:
                refuse(key, "expected \(key), found another object")
            }
        } catch {
            refuse(key, "expected \(error.expected) at byte \(error.offset)")
        }
    }

    private mutating func remove(_ key: ObjectKey) {
        store.remove(key)
        mirror?.drop(key)
    }

    private mutating func refuse(_ key: ObjectKey, _ reason: String) {
        store.refuse(key, ObjectMeta(), nil, reason: reason, location: location)
    }

    /// Items of a list bear no kind of their own; the decoder asks for it.
    static func typed(_ item: [UInt8], _ resource: APIResource) -> [UInt8] {
        guard let open = item.firstIndex(of: UInt8(ascii: "{")) else { return item }
        let prefix =
            "{\"apiVersion\":\"\(resource.apiVersion)\",\"kind\":\"\(resource.kind.rawValue)\","
        let rest = item[(open + 1)...]
        let hasMembers = rest.first { $0 > 0x20 } != UInt8(ascii: "}")
        return Array((hasMembers ? prefix : String(prefix.dropLast())).utf8) + rest
    }
}

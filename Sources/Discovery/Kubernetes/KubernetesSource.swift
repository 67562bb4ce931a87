import LinuxSystem
import MeshModel

/// Delivers snapshots of an API server's objects: every kind is listed and watched on its own, and all
/// meet in one store. The last snapshot stands while the server is away.
package actor KubernetesSource {
    /// The mirror is written so long after a change, so that many become one write.
    private static let mirrorDelay = Duration.seconds(1)

    let client: APIClient
    let settings: ReduceSettings
    var machines: [ObjectKind: WatchMachine] = [:]
    var store: ObjectStore
    var faults: [ObjectKind: String] = [:]
    var absent: Set<ObjectKind> = []
    var connected: Set<ObjectKind> = []
    var lastEventNanoseconds: UInt64 = 0
    private var mirror: ObjectMirror?
    private var builder = SnapshotBuilder()
    private var kinds: [APIResource]
    private var tasks: [Task<Void, Never>] = []
    private var isScheduled = false
    private var isMirrorScheduled = false
    private var hasMirror = false
    private var continuation: AsyncStream<(MeshSnapshot, SnapshotDelta)>.Continuation?

    /// Makes a source that does nothing until `start`.
    ///
    /// - Parameters:
    ///   - mirrorDirectory: where accepted objects are kept for a restart; `nil` for nowhere.
    package init(
        client: APIClient,
        settings: ReduceSettings,
        mirrorDirectory: String?,
        resources: [APIResource] = APIResource.watched
    ) {
        self.client = client
        self.settings = settings
        store = ObjectStore(validate: settings.rejection)
        kinds = resources
        mirror = mirrorDirectory.map {
            ObjectMirror(directory: $0, owner: "\(client.location) \(settings.nodeName)")
        }
    }

    /// What is known of the server.
    package var status: SourceStatus {
        var sentences = faults.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        sentences += mirror?.faults ?? []
        return SourceStatus(
            kind: "kubernetes",
            location: client.location,
            isConnected: !connected.isEmpty && connected.count + absent.count >= kinds.count,
            lastEventNanoseconds: lastEventNanoseconds,
            faults: sentences
        )
    }

    /// The last snapshot delivered.
    package var current: MeshSnapshot { builder.current }

    /// Lists begun again because the server had forgotten a version.
    package var relistCount: UInt64 { machines.values.reduce(0) { $0 + $1.relistCount } }

    /// Begins to list and watch. Objects of the mirror are delivered at once, marked stale; otherwise
    /// the first snapshot comes when every kind has been listed. Of several snapshots not taken yet
    /// only the newest is kept.
    package func start() -> AsyncStream<(MeshSnapshot, SnapshotDelta)> {
        let (stream, continuation) = AsyncStream<(MeshSnapshot, SnapshotDelta)>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        self.continuation = continuation
        var known: [ObjectKind: [ObjectKey: String]] = [:]
        for (key, json) in mirror?.load() ?? [] {
            hasMirror = true
            known[key.kind, default: [:]][key] = ""
            take(key, json, isStale: true)
        }
        for resource in kinds {
            machines[resource.kind] = WatchMachine(known: known[resource.kind] ?? [:])
            watch(resource)
        }
        if hasMirror { deliver() }
        return stream
    }

    /// Ends all watches.
    package func stop() async {
        for task in tasks { task.cancel() }
        tasks = []
        continuation?.finish()
        _ = await writeMirror()
    }

    private func watch(_ resource: APIResource) {
        tasks.append(Task { await self.follow(resource) })
    }

    /// Endpoints stand in where the server has no EndpointSlices.
    func fallBack(from resource: APIResource) {
        guard resource.kind == .endpointSlice, machines[.endpoints] == nil else { return }
        kinds.append(.endpoints)
        machines[.endpoints] = WatchMachine()
        watch(.endpoints)
    }

    // MARK: Objects

    /// Takes one object's text into the store, or notes why it is refused.
    func take(_ key: ObjectKey, _ json: [UInt8], isStale: Bool = false) {
        let location = client.location
        do {
            switch ObjectDecoder.decode(try DocumentNode(json: json)) {
            case .object(let object) where object.key == key:
                store.accept(object, location: location, isStale: isStale)
                if !isStale { mirror?.keep(key, json) }
            case .refused(_, let meta, let content, let found):
                let reason = found.map(\.reason).joined(separator: "; ")
                store.refuse(key, meta, content, reason: reason, location: location)
            case .object, .list, .other:
                refuse(key, "expected \(key), found another object", location)
            }
        } catch {
            refuse(key, "expected \(error.expected) at byte \(error.offset)", location)
        }
        changed()
    }

    /// Forgets an object.
    func remove(_ key: ObjectKey) {
        store.remove(key)
        mirror?.drop(key)
        changed()
    }

    private func refuse(_ key: ObjectKey, _ reason: String, _ location: String) {
        store.refuse(key, ObjectMeta(), nil, reason: reason, location: location)
    }

    // MARK: Snapshots

    private var isComplete: Bool {
        hasMirror
            || kinds.allSatisfy { resource in
                absent.contains(resource.kind) || machines[resource.kind]?.isSynced == true
            }
    }

    /// Something changed: a snapshot follows within milliseconds.
    func changed() {
        lastEventNanoseconds = Clock.wallNanoseconds()
        scheduleMirror()
        guard !isScheduled else { return }
        isScheduled = true
        let now = Clock.monotonicNanoseconds()
        let due = builder.changed(nowNanoseconds: now)
        Task {
            try? await Task.sleep(for: .nanoseconds(Int64(max(due, now) - now)))
            self.isScheduled = false
            self.deliver()
        }
    }

    private func deliver() {
        guard isComplete,
            let (snapshot, delta) = builder.build(SnapshotReducer.reduce(store, settings))
        else { return }
        continuation?.yield((snapshot, delta))
    }

    private func scheduleMirror() {
        guard mirror?.isDirty == true, !isMirrorScheduled else { return }
        isMirrorScheduled = true
        Task {
            try? await Task.sleep(for: KubernetesSource.mirrorDelay)
            let byteCount = await self.writeMirror()
            try? await Task.sleep(for: .seconds(byteCount) / ObjectMirror.bytesPerSecondMax)
            self.isMirrorScheduled = false
            self.scheduleMirror()
        }
    }

    /// - Returns: how many bytes were written.
    private func writeMirror() async -> Int {
        guard let pending = mirror?.takePending(), !pending.isEmpty else { return 0 }
        let outcome = await BlockingThread.run(name: "martlet-mirror") {
            ObjectMirror.write(pending)
        }
        mirror?.written(pending, outcome?.faults ?? [])
        return outcome?.byteCount ?? 0
    }
}

import Addressing
import LinuxSystem
import MeshModel

/// Delivers snapshots of an API server's objects: every kind is listed and watched on its own, and all
/// meet in one store. The last snapshot stands while the server is away.
package actor KubernetesSource {
    /// The mirror is written so long after a change, so that many become one write.
    private static let mirrorDelay = Duration.seconds(1)

    let client: APIClient
    let settings: ReduceSettings
    private let resolver = NameResolver()
    private var names: [String: [IPAddress]] = [:]
    var copy: ClusterCopy
    var faults: [ObjectKind: String] = [:]
    var absent: Set<ObjectKind> = []
    var connected: Set<ObjectKind> = []
    var lastEventNanoseconds: UInt64 = 0
    private var builder = SnapshotBuilder()
    /// The kinds that are followed, each as it is asked for now.
    private var resources: [ObjectKind: APIResource]
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
        copy = ClusterCopy(location: client.location, validate: settings.rejection)
        self.resources = Dictionary(uniqueKeysWithValues: resources.map { ($0.kind, $0) })
        copy.mirror = mirrorDirectory.map {
            ObjectMirror(directory: $0, owner: "\(client.location) \(settings.nodeName)")
        }
    }

    /// What is known of the server.
    package var status: SourceStatus {
        var sentences = faults.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        sentences += copy.mirror?.faults ?? []
        return SourceStatus(
            kind: "kubernetes",
            location: client.location,
            isConnected: !connected.isEmpty && connected.count + absent.count >= resources.count,
            lastEventNanoseconds: lastEventNanoseconds,
            faults: sentences
        )
    }

    /// The last snapshot delivered.
    package var current: MeshSnapshot { builder.current }

    /// Lists begun again because the server had forgotten a version.
    package var relistCount: UInt64 { copy.relistCount }

    /// Begins to list and watch. Objects of the mirror are delivered at once, marked stale; otherwise
    /// the first snapshot comes when every kind has been listed. Of several snapshots not taken yet
    /// only the newest is kept.
    package func start() -> AsyncStream<(MeshSnapshot, SnapshotDelta)> {
        let (stream, continuation) = AsyncStream<(MeshSnapshot, SnapshotDelta)>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        self.continuation = continuation
        hasMirror = copy.loadMirror()
        Task { await resolver.onChange { [weak self] in await self?.resolved() } }
        for kind in resources.keys { watch(kind) }
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

    private func watch(_ kind: ObjectKind) {
        copy.follow(kind)
        tasks.append(Task { await self.follow(kind) })
    }

    // MARK: Kinds

    /// How a kind is asked for now.
    func resource(_ kind: ObjectKind) -> APIResource? { resources[kind] }

    /// The server does not serve a kind in the version asked for: another version is asked for, if
    /// there is one.
    ///
    /// - Returns: whether there is one that has not been asked for since the first.
    func useOtherVersion(of resource: APIResource) -> Bool {
        let other = resource.olderVersion
        resources[resource.kind] = other ?? APIResource.preferred(resource.kind) ?? resource
        if other != nil { copy.restart(resource.kind) }
        return other != nil
    }

    /// Endpoints stand in where the server has no EndpointSlices.
    func fallBack(from kind: ObjectKind) {
        guard kind == .endpointSlice, resources[.endpoints] == nil else { return }
        resources[.endpoints] = .endpoints
        watch(.endpoints)
    }

    // MARK: Snapshots

    private var isComplete: Bool {
        hasMirror
            || resources.keys.allSatisfy { absent.contains($0) || copy.isSynced($0) }
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
        guard isComplete else { return }
        let reduced = SnapshotReducer.reduce(copy.store, settings, names: names)
        if let (snapshot, delta) = builder.build(reduced) {
            continuation?.yield((snapshot, delta))
        }
        let followed = copy.store.externalNames
        Task { await resolver.follow(followed) }
    }

    /// Takes the addresses of names as they are known now.
    private func resolved() async {
        names = await resolver.addresses
        changed()
    }

    private func scheduleMirror() {
        guard copy.mirror?.isDirty == true, !isMirrorScheduled else { return }
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
        guard let pending = copy.mirror?.takePending(), !pending.isEmpty else { return 0 }
        let outcome = await BlockingThread.run(name: "martlet-mirror") {
            ObjectMirror.write(pending)
        }
        copy.mirror?.written(pending, outcome?.faults ?? [])
        return outcome?.byteCount ?? 0
    }
}

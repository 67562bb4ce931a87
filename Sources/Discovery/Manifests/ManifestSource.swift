import LinuxSystem
import MeshModel

/// What is known of a source; shown at `/status`.
package struct SourceStatus: Equatable, Sendable {
    /// `manifests` or `kubernetes`.
    package var kind: String
    /// The directory or the API server.
    package var location: String
    /// Whether it could be read last.
    package var isConnected: Bool
    /// When it last told anything, wall clock, nanoseconds since 1970; 0 for never.
    package var lastEventNanoseconds: UInt64
    /// What is wrong with it, one sentence each.
    package var faults: [String]

    /// Makes a status.
    package init(
        kind: String,
        location: String,
        isConnected: Bool = false,
        lastEventNanoseconds: UInt64 = 0,
        faults: [String] = []
    ) {
        self.kind = kind
        self.location = location
        self.isConnected = isConnected
        self.lastEventNanoseconds = lastEventNanoseconds
        self.faults = faults
    }
}

/// Delivers snapshots of a manifest directory, from now on and after every change.
package actor ManifestSource {
    private let settings: ReduceSettings
    private let resolver: NameResolver
    private var directory: ManifestDirectory
    private var store: ObjectStore
    private var builder = SnapshotBuilder()
    private var watch: DirectoryWatch?
    private var isScheduled = false
    private var sourceStatus: SourceStatus
    private var continuation: AsyncStream<(MeshSnapshot, SnapshotDelta)>.Continuation?

    /// Makes a source that does nothing until `start`.
    package init(
        path: String,
        settings: ReduceSettings,
        resolver: NameResolver = NameResolver()
    ) {
        self.settings = settings
        self.resolver = resolver
        store = ObjectStore(validate: settings.rejection)
        directory = ManifestDirectory(path: path)
        sourceStatus = SourceStatus(kind: "manifests", location: path)
    }

    /// What is known of the directory.
    package var status: SourceStatus { sourceStatus }

    /// The last snapshot delivered.
    package var current: MeshSnapshot { builder.current }

    /// Reads the directory, delivers the first snapshot and goes on with every change. Of several
    /// snapshots not taken yet only the newest is kept.
    package func start() async -> AsyncStream<(MeshSnapshot, SnapshotDelta)> {
        let (stream, continuation) = AsyncStream<(MeshSnapshot, SnapshotDelta)>.makeStream(
            bufferingPolicy: .bufferingNewest(1)
        )
        self.continuation = continuation
        startWatch()
        await resolver.onChange { [weak self] in await self?.changed() }
        await refresh()
        return stream
    }

    private func startWatch() {
        do {
            watch = try DirectoryWatch(path: directory.path) { [weak self] in
                Task { await self?.changed() }
            }
        } catch {
            sourceStatus.faults = ["cannot watch \(directory.path): \(error)"]
        }
    }

    private func changed() async {
        guard !isScheduled else { return }
        isScheduled = true
        let now = Clock.monotonicNanoseconds()
        let due = builder.changed(nowNanoseconds: now)
        try? await Task.sleep(for: .nanoseconds(Int64(due - now)))
        isScheduled = false
        await refresh()
    }

    private func refresh() async {
        let names = await resolver.addresses
        do {
            try directory.refresh(&store)
            sourceStatus.isConnected = true
            sourceStatus.faults = directory.faults.map(\.description)
        } catch {
            sourceStatus.isConnected = false
            sourceStatus.faults = ["cannot read \(directory.path): \(error)"]
        }
        sourceStatus.lastEventNanoseconds = Clock.wallNanoseconds()
        let reduced = SnapshotReducer.reduce(store, settings, names: names)
        if let (snapshot, delta) = builder.build(reduced) {
            continuation?.yield((snapshot, delta))
        }
        await resolver.follow(store.externalNames)
    }
}

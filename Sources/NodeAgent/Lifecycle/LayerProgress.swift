import LinuxSystem
import MeshModel
import Synchronization

/// Which snapshot each layer has applied, what it could not apply, and when each object's version
/// came into force there. Any thread.
final class LayerProgress: Sendable {
    /// One layer's state.
    struct Row: Equatable, Sendable {
        /// The last version applied; 0 for none.
        var version: UInt64 = 0
        /// When, wall clock, nanoseconds since 1970.
        var appliedAtNanoseconds: UInt64 = 0
        /// What of it could not be applied.
        var faults: [String] = []
        /// What became of objects there.
        var conditions: [ObjectKey: [Condition]] = [:]
    }

    /// When a version of an object came into force at a layer.
    private struct Applied: Equatable {
        var version: ObjectVersion
        var atNanoseconds: UInt64
    }

    private struct State {
        var latest: UInt64 = 0
        var rows: [Layer: Row] = [:]
        var objects: [Layer: [ObjectKey: Applied]] = [:]
    }

    private let state = Mutex(State())

    /// Begins with the layers that are on, none having applied anything.
    init(layers: [Layer]) {
        state.withLock { state in
            for layer in layers {
                state.rows[layer] = Row()
                state.objects[layer] = [:]
            }
        }
    }

    /// A snapshot has come.
    func received(_ version: UInt64) {
        state.withLock { $0.latest = max($0.latest, version) }
    }

    /// A layer has applied a snapshot.
    func applied(_ layer: Layer, _ snapshot: MeshSnapshot, _ report: AppliedReport, at now: UInt64)
    {
        state.withLock { state in
            state.rows[layer] = Row(
                version: report.version,
                appliedAtNanoseconds: now,
                faults: report.faults,
                conditions: report.conditions
            )
            let before = state.objects[layer] ?? [:]
            state.objects[layer] = snapshot.objects.mapValues { record in
                guard let old = before[record.key], old.version == record.version else {
                    return Applied(version: record.version, atNanoseconds: now)
                }
                return old
            }
        }
    }

    /// The newest snapshot's version; 0 before the first.
    var latestVersion: UInt64 { state.withLock(\.latest) }

    /// Every layer that is on.
    var rows: [(layer: Layer, row: Row, lag: UInt64)] {
        state.withLock { state in
            Layer.allCases.compactMap { layer in
                state.rows[layer].map { (layer, $0, state.latest - min($0.version, state.latest)) }
            }
        }
    }

    /// When a version of an object came into force at each layer; layers still at another version
    /// are left out.
    func appliedTimes(_ key: ObjectKey, _ version: ObjectVersion) -> [(layer: Layer, at: UInt64)] {
        state.withLock { state in
            Layer.allCases.compactMap { layer in
                guard let applied = state.objects[layer]?[key], applied.version == version else {
                    return nil
                }
                return (layer, applied.atNanoseconds)
            }
        }
    }

    /// What the layers that have applied a version of an object say became of it.
    func conditions(_ key: ObjectKey, _ version: ObjectVersion) -> [Condition] {
        state.withLock { state in
            Layer.allCases.flatMap { layer -> [Condition] in
                guard state.objects[layer]?[key]?.version == version else { return [] }
                return state.rows[layer]?.conditions[key] ?? []
            }
        }
    }

    /// Layers that have not applied the first full snapshot.
    var waitingLayers: [Layer] { rows.filter { $0.row.version == 0 }.map(\.layer) }
}

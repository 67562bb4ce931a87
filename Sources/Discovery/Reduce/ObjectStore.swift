import MeshModel

/// The objects in use, by key: the last valid version of each, and what became of the version last
/// seen. The input of the reducers.
package struct ObjectStore: Sendable {
    /// One object.
    struct Stored: Sendable {
        /// The last valid version; `nil` when there never was one.
        var object: KubernetesObject?
        var record: ObjectRecord
    }

    private(set) var objects: [ObjectKey: Stored] = [:]
    /// Counts up with every change.
    package private(set) var revision: UInt64 = 0

    /// Makes an empty store.
    package init() {}

    /// Takes a valid version.
    package mutating func accept(
        _ object: KubernetesObject,
        location: String,
        isStale: Bool = false
    ) {
        let version = ObjectVersion(
            uid: object.meta.uid,
            resourceVersion: object.meta.resourceVersion,
            generation: object.meta.generation
        )
        let record = ObjectRecord(
            key: object.key,
            version: version,
            location: location,
            isStale: isStale
        )
        if objects[object.key]?.object == object, objects[object.key]?.record == record { return }
        objects[object.key] = Stored(object: object, record: record)
        revision += 1
    }

    /// Takes note of an invalid version: an earlier valid one goes on serving.
    package mutating func refuse(
        _ key: ObjectKey,
        _ meta: ObjectMeta,
        reason: String,
        location: String
    ) {
        let earlier = objects[key]?.object
        let record = ObjectRecord(
            key: key,
            version: ObjectVersion(
                uid: meta.uid,
                resourceVersion: meta.resourceVersion,
                generation: meta.generation
            ),
            acceptance: .refused(reason: reason, servesEarlierVersion: earlier != nil),
            location: location
        )
        if objects[key]?.record == record { return }
        objects[key] = Stored(object: earlier, record: record)
        revision += 1
    }

    /// Forgets an object.
    package mutating func remove(_ key: ObjectKey) {
        if objects.removeValue(forKey: key) != nil { revision += 1 }
    }

    /// Keys of all objects, refused ones included.
    package var keys: Set<ObjectKey> { Set(objects.keys) }

    /// Objects of a kind, sorted by key, so that reducing depends on no order of arrival.
    func sorted(_ kind: ObjectKind) -> [KubernetesObject] {
        objects.values.compactMap { $0.object?.key.kind == kind ? $0.object : nil }
            .sorted { $0.key < $1.key }
    }

    subscript(key: ObjectKey) -> KubernetesObject? { objects[key]?.object }
}

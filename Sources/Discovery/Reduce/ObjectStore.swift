import MeshModel

/// The objects in use, by key: the last valid version of each, and what became of the version last
/// seen. The input of the reducers.
package struct ObjectStore: Sendable {
    /// One object.
    struct Stored: Sendable {
        /// The last valid version; `nil` when there never was one.
        var object: KubernetesObject?
        /// What could be read of a version that is refused, where there never was a valid one.
        var refused: KubernetesObject?
        var record: ObjectRecord
    }

    private(set) var objects: [ObjectKey: Stored] = [:]
    /// Counts up with every change.
    package private(set) var revision: UInt64 = 0

    private let validate: @Sendable (KubernetesObject) -> String?

    /// Makes an empty store.
    ///
    /// - Parameter validate: says why an object that reads well is refused all the same.
    package init(validate: @escaping @Sendable (KubernetesObject) -> String? = { _ in nil }) {
        self.validate = validate
    }

    /// Takes a valid version.
    ///
    /// - Returns: whether it is in use; `false` where it reads well and is refused all the same.
    @discardableResult
    package mutating func accept(
        _ object: KubernetesObject,
        location: String,
        isStale: Bool = false
    ) -> Bool {
        if let reason = validate(object) {
            refuse(object.key, object.meta, object.content, reason: reason, location: location)
            return false
        }
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
        if objects[object.key]?.object == object, objects[object.key]?.record == record {
            return true
        }
        objects[object.key] = Stored(object: object, record: record)
        revision += 1
        return true
    }

    /// Takes note of an invalid version: an earlier valid one goes on serving.
    ///
    /// - Parameter content: what could be read of it, to know what is its own.
    package mutating func refuse(
        _ key: ObjectKey,
        _ meta: ObjectMeta,
        _ content: KubernetesObject.Content?,
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
        let refused = content.map { KubernetesObject(key: key, meta: meta, content: $0) }
        objects[key] = Stored(
            object: earlier,
            refused: earlier == nil ? refused : nil,
            record: record
        )
        revision += 1
    }

    /// Forgets an object.
    package mutating func remove(_ key: ObjectKey) {
        if objects.removeValue(forKey: key) != nil { revision += 1 }
    }

    /// Keys of all objects, refused ones included.
    package var keys: Set<ObjectKey> { Set(objects.keys) }

    /// The names of ExternalName Services.
    var externalNames: Set<String> {
        Set(
            objects.values.compactMap { stored in
                guard case .service(let content)? = stored.object?.content,
                    !content.externalName.isEmpty
                else { return nil }
                return content.externalName
            }
        )
    }

    /// Objects of a kind, sorted by key, so that reducing depends on no order of arrival.
    func sorted(_ kind: ObjectKind) -> [KubernetesObject] {
        objects.values.compactMap { $0.object?.key.kind == kind ? $0.object : nil }
            .sorted { $0.key < $1.key }
    }

    /// Objects of a kind that never had a valid version, as far as they could be read, with the
    /// reason; sorted by key.
    func neverValid(_ kind: ObjectKind) -> [(object: KubernetesObject, reason: String)] {
        objects.values.compactMap { stored -> (object: KubernetesObject, reason: String)? in
            guard let object = stored.refused, object.key.kind == kind,
                case .refused(let reason, _) = stored.record.acceptance
            else { return nil }
            return (object, reason)
        }.sorted { $0.object.key < $1.object.key }
    }

    subscript(key: ObjectKey) -> KubernetesObject? { objects[key]?.object }
}

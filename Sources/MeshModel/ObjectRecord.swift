/// What Martlet knows of one object in use; a row of `/objects`.
package struct ObjectRecord: Equatable, Sendable {
    /// Whether the object, as last seen, is in use.
    package enum Acceptance: Equatable, Sendable {
        /// The version seen is the version in use.
        case accepted
        /// The version seen is refused; where an earlier one was valid, that one goes on serving.
        case refused(reason: String, servesEarlierVersion: Bool)
    }

    /// The object.
    package let key: ObjectKey
    /// The version last seen.
    package var version: ObjectVersion
    /// Accepted or refused, with the reason.
    package var acceptance: Acceptance
    /// The computed status conditions, those of parents included.
    package var conditions: [Condition]
    /// `path:line` in manifest mode; empty from an API server.
    package var location: String
    /// Whether it was read from the mirror and the source has not confirmed it yet.
    package var isStale: Bool

    /// Makes a record of its parts.
    package init(
        key: ObjectKey,
        version: ObjectVersion,
        acceptance: Acceptance = .accepted,
        conditions: [Condition] = [],
        location: String = "",
        isStale: Bool = false
    ) {
        self.key = key
        self.version = version
        self.acceptance = acceptance
        self.conditions = conditions
        self.location = location
        self.isStale = isStale
    }
}

/// A status condition as Kubernetes writes it (KEP-1623).
package struct Condition: Hashable, Sendable {
    /// The three values of a condition's status.
    package enum Status: String, Hashable, Sendable {
        case yes = "True"
        case no = "False"
        case unknown = "Unknown"
    }

    /// Which part of the object it speaks of: empty for the object, else `listener NAME`,
    /// `parent Kind ns/name[/section]` or `ancestor Kind ns/name[/section]`.
    package var subject: String
    /// Such as `Accepted`, `Programmed`, `ResolvedRefs`.
    package var type: String
    /// True, False or Unknown.
    package var status: Status
    /// A CamelCase reason.
    package var reason: String
    /// A sentence for people.
    package var message: String

    /// Makes a condition of its parts.
    package init(
        subject: String = "",
        type: String,
        status: Status,
        reason: String,
        message: String = ""
    ) {
        self.subject = subject
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
    }

    /// Puts later conditions in the place of those of the same subject and type.
    package static func merging(_ conditions: [Condition], with later: [Condition]) -> [Condition] {
        var merged = conditions
        for condition in later {
            let same = merged.firstIndex {
                $0.subject == condition.subject && $0.type == condition.type
            }
            if let same { merged[same] = condition } else { merged.append(condition) }
        }
        return merged
    }
}

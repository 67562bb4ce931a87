import MeshModel

/// What is so of one pod's capture.
package struct CaptureStatus: Equatable, Sendable {
    /// How far it is.
    package enum State: String, Sendable {
        /// Asked for, not there yet.
        case pending
        /// Rules read back, listeners accepting, namespace checked.
        case captured
        /// No longer asked for; connections end.
        case leaving
        /// Asked for and impossible.
        case refused
    }

    /// What was checked before the pod was called captured.
    package struct Proof: Equatable, Sendable {
        /// When, wall clock, nanoseconds since 1970.
        package var checkedNanoseconds: UInt64
        /// The namespace's inode.
        package var namespaceInode: UInt64
        /// The version of the rules that were read back.
        package var rulesVersion: String
        /// How many rules were read back, each with all of its expressions.
        package var ruleCount: Int
        /// Listening sockets that accept.
        package var listenerCount: Int
    }

    /// The pod.
    package var pod: ObjectKey
    /// Its UID.
    package var uid: String
    /// How far it is.
    package var state: State
    /// Why it is not captured; empty otherwise.
    package var reason: String
    /// The proof, once captured.
    package var proof: Proof?
    /// How long the pod was seen uncaptured, nanoseconds; goes on while it is not captured.
    package var uncapturedNanoseconds: UInt64 = 0
    /// How often its rules had drifted and were repaired.
    package var repairCount = 0
    /// How often the kernel had no room to tell of changes inside it, so that all was checked.
    package var overflowCount = 0

    /// What the reason of a pod that cannot be let go begins with.
    static let stuck = "cannot be taken away: "

    /// Whether something about it is not as it should be.
    package var isFaulty: Bool {
        switch state {
        case .pending, .refused: true
        case .captured: false
        case .leaving: reason.hasPrefix(CaptureStatus.stuck)
        }
    }
}

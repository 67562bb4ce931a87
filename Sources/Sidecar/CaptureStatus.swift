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
    package var uncapturedNanoseconds: UInt64
    /// How often its rules had drifted and were repaired.
    package var repairCount: Int
}

import DataPlane
import LinuxSystem
import MeshModel

/// One pod that the capture layer has in hand.
struct CapturePod {
    var workload: Workload
    var exclusions: Workload.Exclusions
    /// Numbers its listeners and relay routes.
    let slot: Int32
    /// An open descriptor of its namespace; negative while it is not found.
    var namespace: Int32 = -1
    /// The namespace's inode; 0 while it is not found.
    var inode: UInt64 = 0
    var ports: [ListeningPort] = []
    var listenerCount = 0
    var monitor: DriftMonitor.Token?
    /// Owns the table where it is to vanish with the agent.
    var rulesSocket: RulesSocket?
    var status: CaptureStatus
    /// Since when it is not captured; `nil` while it is.
    var uncapturedSinceNanoseconds: UInt64?
    /// Since when it is let go of; `nil` while it is wanted.
    var leaveSinceNanoseconds: UInt64?

    /// Takes a pod in hand; nothing is done to it yet.
    init(_ workload: Workload, _ exclusions: Workload.Exclusions, slot: Int32) {
        self.workload = workload
        self.exclusions = exclusions
        self.slot = slot
        status = CaptureStatus(
            pod: workload.key,
            uid: workload.uid,
            state: .pending,
            reason: "not tried yet"
        )
        uncapturedSinceNanoseconds = Clock.monotonicNanoseconds()
    }

    /// Whether it has IPv6 addresses, so that IPv6 must be captured too.
    var needsIPv6: Bool { workload.addresses.contains { !$0.isIPv4 } }

    /// Its status as of now.
    func status(at now: UInt64) -> CaptureStatus {
        var status = self.status
        if let since = uncapturedSinceNanoseconds, status.state != .leaving {
            status.uncapturedNanoseconds += now - since
        }
        return status
    }

    /// Takes a newer wish for the same pod.
    mutating func update(_ workload: Workload, _ exclusions: Workload.Exclusions) {
        let isChanged =
            self.exclusions != exclusions || status.state == .leaving
            || self.workload.uid != workload.uid
            || self.workload.addresses != workload.addresses
        self.workload = workload
        self.exclusions = exclusions
        leaveSinceNanoseconds = nil
        status.uid = workload.uid
        if isChanged { status.state = .pending }
    }

    /// Notes that it is not captured.
    mutating func lapse(_ state: CaptureStatus.State, _ reason: String) {
        status.state = state
        status.reason = reason
        status.proof = nil
        if uncapturedSinceNanoseconds == nil {
            uncapturedSinceNanoseconds = Clock.monotonicNanoseconds()
        }
    }

    /// Notes that it is captured, and for how long it was not.
    ///
    /// - Parameter wasInPlace: the rules were there all along.
    mutating func settle(_ table: NFTable, wasInPlace: Bool) {
        let since = uncapturedSinceNanoseconds
        if let since, !(wasInPlace && status.repairCount == 0) {
            status.uncapturedNanoseconds += Clock.monotonicNanoseconds() - since
        }
        uncapturedSinceNanoseconds = nil
        status.state = .captured
        status.reason = ""
        status.proof = .init(
            checkedNanoseconds: Clock.wallNanoseconds(),
            namespaceInode: inode,
            rulesVersion: table.version,
            ruleCount: table.chains.reduce(0) { $0 + $1.rules.count },
            listenerCount: listenerCount
        )
    }
}

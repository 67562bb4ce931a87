/// What happens to the connections of captured pods when the node's agent is gone.
package enum CaptureFailMode: String, Sendable, CaseIterable {
    /// The rules stay: connections are refused until an agent is back.
    case closed
    /// The rules vanish with the agent, whose netlink sockets own them: connections pass.
    case open
}

import LinuxSystem
import Synchronization

/// A netlink socket in a pod's namespace that owns the pod's table: when it is closed, by the death
/// of the process too, the kernel takes the table away (`NFT_TABLE_F_OWNER`, Linux 5.12).
final class RulesSocket: Sendable {
    private let socket: Mutex<NetlinkSocket>

    /// Opens one in the calling thread's namespace.
    init() throws(NetlinkError) { socket = Mutex(try PodNetwork.open(.netfilter)) }

    /// Does a batch as the owner.
    func perform(_ batch: [NetlinkMessage]) throws(NetlinkError) {
        try socket.withLock { socket throws(NetlinkError) in try socket.perform(batch) }
    }
}

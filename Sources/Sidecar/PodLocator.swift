import LinuxSystem
import MeshModel

/// Finds the network namespace of a pod: by its annotation, or by its processes.
enum PodLocator {
    /// Opens a pod's namespace. It blocks for some milliseconds.
    ///
    /// - Throws: why it is not found, or refused where it is the node's own.
    static func open(
        _ workload: Workload,
        processes: @autoclosure () -> PodProcesses = .current()
    ) throws(CaptureError) -> NetworkNamespace {
        let path = try path(of: workload, processes: processes)
        let opened: NetworkNamespace
        do throws(Errno) {
            opened = try NetworkNamespace(path: path)
        } catch {
            throw CaptureError("network namespace \(path): \(error)")
        }
        let ofTheNode = ["/proc/self/ns/net", "/proc/1/ns/net"].compactMap(
            NetworkNamespace.inode(of:)
        )
        guard !ofTheNode.contains(opened.inode) else {
            throw CaptureError(
                "expected a network namespace of the pod's own, found the node's: host-network pods"
                    + " are not captured",
                isRefusal: true
            )
        }
        return opened
    }

    private static func path(
        of workload: Workload,
        processes: () -> PodProcesses
    ) throws(CaptureError) -> String {
        let name = workload.networkNamespace
        guard name.isEmpty else { return NetworkNamespace.path(of: name) }
        switch processes().namespace(ofPod: workload.uid) {
        case .process(let number, namespace: let inode):
            let path = "/proc/\(number)/ns/net"
            // The process may have ended, and its number be another's by now.
            guard NetworkNamespace.inode(of: path) == inode else {
                throw CaptureError("process \(number) of pod\(workload.uid) has ended")
            }
            return path
        case .foreign(let pod):
            throw CaptureError(
                "expected a network namespace of the pod's own, found its processes in that of"
                    + " pod\(pod)",
                isRefusal: true
            )
        case .none:
            throw CaptureError("no process in a cgroup of pod\(workload.uid)")
        }
    }
}

/// Why a pod is not captured.
struct CaptureError: Error, CustomStringConvertible {
    let description: String
    /// Whether waiting will not help: the pod is refused, not late.
    let isRefusal: Bool

    init(_ description: String, isRefusal: Bool = false) {
        self.description = description
        self.isRefusal = isRefusal
    }
}

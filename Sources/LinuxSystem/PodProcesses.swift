import Glibc

/// The node's processes by the pod and the network namespace they run in, as `/proc` shows them at
/// one moment. Needs the node's process namespace (`hostPID`).
package struct PodProcesses: Sendable {
    /// One process of a pod.
    package struct Process: Equatable, Sendable {
        /// Its number.
        package var number: UInt32
        /// Clock ticks since boot at which it began.
        package var start: UInt64
        /// The inode of its network namespace.
        package var namespace: UInt64
        /// The pod's UID, with dashes.
        package var pod: String

        /// Makes a process of its parts.
        package init(number: UInt32, start: UInt64, namespace: UInt64, pod: String) {
            self.number = number
            self.start = start
            self.namespace = namespace
            self.pod = pod
        }
    }

    /// Where a pod's network namespace is.
    package enum Answer: Equatable, Sendable {
        /// In the process's `/proc/N/ns/net`.
        case process(UInt32, namespace: UInt64)
        /// The pod's processes run in the namespace of another pod.
        case foreign(pod: String)
        /// No process of the pod runs.
        case none
    }

    private let processes: [Process]

    /// Makes a picture of given processes.
    package init(_ processes: [Process]) {
        self.processes = processes.sorted { ($0.start, $0.number) < ($1.start, $1.number) }
    }

    /// Reads `/proc`. Processes that end meanwhile are left out.
    package static func current() -> PodProcesses {
        var found: [Process] = []
        for name in (try? FileSystem.names(in: "/proc")) ?? [] {
            guard let number = UInt32(name),
                let cgroup = try? FileSystem.readText("/proc/\(name)/cgroup", byteLimit: 65_536),
                let pod = podUID(inCgroup: cgroup),
                let start = startTime(of: name),
                let namespace = NetworkNamespace.inode(of: "/proc/\(name)/ns/net")
            else { continue }
            found.append(Process(number: number, start: start, namespace: namespace, pod: pod))
        }
        return PodProcesses(found)
    }

    /// Finds a pod's namespace: that of its oldest process whose namespace no other pod had first.
    /// A younger process may have entered another pod's namespace; the first one of a namespace is
    /// at home there.
    package func namespace(ofPod uid: String) -> Answer {
        var owners: [UInt64: String] = [:]
        for process in processes where owners[process.namespace] == nil {
            owners[process.namespace] = process.pod
        }
        let wanted = PodProcesses.normalised(uid)
        let own = processes.filter { $0.pod == wanted }
        if let first = own.first(where: { owners[$0.namespace] == wanted }) {
            return .process(first.number, namespace: first.namespace)
        }
        return own.first.flatMap { owners[$0.namespace] }.map { .foreign(pod: $0) } ?? .none
    }

    /// The UID of the pod that a `/proc/PID/cgroup` text names: a component `pod<uid>` (cgroupfs) or
    /// `…-pod<uid>.slice` (systemd, with `_` for `-`) below one of `kubepods`; versions 1 and 2.
    package static func podUID(inCgroup text: String) -> String? {
        for line in text.split(separator: "\n") {
            let path = line.split(separator: ":", maxSplits: 2).last ?? ""
            let components = path.split(separator: "/")
            guard let top = components.firstIndex(where: { $0.contains("kubepods") }) else {
                continue
            }
            for component in components[top...] {
                if let uid = podUID(inComponent: component) { return uid }
            }
        }
        return nil
    }

    private static func podUID(inComponent component: Substring) -> String? {
        var name = component
        if name.hasSuffix(".slice") { name = name.dropLast(6) }
        if let last = name.split(separator: "-").last, name.hasPrefix("kubepods") { name = last }
        guard name.hasPrefix("pod"), name.count > 3 else { return nil }
        return normalised(String(name.dropFirst(3)))
    }

    private static func normalised(_ uid: String) -> String {
        String(uid.map { $0 == "_" ? "-" : $0 })
    }

    /// Clock ticks since boot at which a process began (`proc(5)`, field 22 of `stat`).
    private static func startTime(of process: String) -> UInt64? {
        guard let text = try? FileSystem.readText("/proc/\(process)/stat", byteLimit: 4_096),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}

extension NetworkNamespace {
    /// The inode of the namespace at a path, without opening it; `nil` when there is none.
    package static func inode(of path: String) -> UInt64? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// One path for each network namespace of the node: named ones, and those of processes.
    package static func paths() -> [UInt64: String] {
        var found: [UInt64: String] = [:]
        let named = (try? FileSystem.names(in: "/run/netns")) ?? []
        let processes = ((try? FileSystem.names(in: "/proc")) ?? []).filter { UInt32($0) != nil }
        let paths = named.map { "/run/netns/\($0)" } + processes.map { "/proc/\($0)/ns/net" }
        for path in paths {
            guard let inode = inode(of: path), found[inode] == nil else { continue }
            found[inode] = path
        }
        return found
    }
}

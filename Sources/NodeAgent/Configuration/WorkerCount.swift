import LinuxSystem

/// How many workers a node gets unless told: the least of its usable cores, its CPU quota rounded
/// up, and 4.
enum WorkerCount {
    /// More workers than this need to be asked for.
    static let defaultMax = 4

    /// The default on this machine.
    static var ofThisMachine: Int {
        of(
            usableCoreCount: ThisProcess.usableCoreCount,
            quotaCores: cgroupQuota { try? FileSystem.readText($0, byteLimit: 65_536) }
        )
    }

    /// The rule itself.
    ///
    /// - Parameters:
    ///   - quotaCores: the CPU quota in cores; `nil` for none.
    static func of(usableCoreCount: Int, quotaCores: Double?) -> Int {
        let quota = quotaCores.map { max(1, Int($0.rounded(.up))) } ?? Int.max
        return max(1, min(usableCoreCount, quota, defaultMax))
    }

    /// The least CPU quota of this process's cgroup and those above it, in cores (cgroup v2
    /// `cpu.max`, v1 `cpu.cfs_quota_us`).
    ///
    /// - Parameters:
    ///   - read: a file's text, or `nil`.
    static func cgroupQuota(read: (String) -> String?) -> Double? {
        guard let groups = read("/proc/self/cgroup") else { return nil }
        var quotas: [Double] = []
        for line in groups.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let path = String(fields[2])
            if fields[0] == "0" {
                quotas += ancestors(of: path).compactMap { group in
                    read("/sys/fs/cgroup\(group)/cpu.max").flatMap(version2)
                }
            } else if fields[1].split(separator: ",").contains("cpu") {
                let root = "/sys/fs/cgroup/\(fields[1])"
                quotas += ancestors(of: path).compactMap { group in
                    version1(
                        quota: read("\(root)\(group)/cpu.cfs_quota_us"),
                        period: read("\(root)\(group)/cpu.cfs_period_us")
                    )
                }
            }
        }
        return quotas.min()
    }

    /// `/a/b`, `/a`, and the root as an empty text.
    private static func ancestors(of path: String) -> [String] {
        var result: [String] = []
        var current = path == "/" ? "" : path
        while !current.isEmpty {
            result.append(current)
            guard let slash = current.lastIndex(of: "/") else { break }
            current = String(current[..<slash])
        }
        return result + [""]
    }

    /// `max 100000` or `150000 100000`.
    private static func version2(_ text: String) -> Double? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }

    private static func version1(quota: String?, period: String?) -> Double? {
        guard let quota = quota.flatMap({ Double($0.filter { !$0.isWhitespace }) }),
            let period = period.flatMap({ Double($0.filter { !$0.isWhitespace }) }),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }
}

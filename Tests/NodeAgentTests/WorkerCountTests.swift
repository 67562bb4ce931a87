import Testing

@testable import NodeAgent

@Suite struct WorkerCountTests {
    @Test(
        arguments: [
            (1, nil, 1), (2, nil, 2), (16, nil, 4), (8, 1.5, 2), (8, 0.2, 1), (2, 3.0, 2),
            (0, nil, 1),
        ] as [(Int, Double?, Int)]
    )
    func theLeastOfCoresQuotaAndFour(_ cores: Int, _ quota: Double?, _ expected: Int) {
        #expect(WorkerCount.of(usableCoreCount: cores, quotaCores: quota) == expected)
    }

    @Test func versionTwoQuotasCountFromEveryAncestor() {
        let files = [
            "/proc/self/cgroup": "0::/a/b\n",
            "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/cpu.max": "800000 100000\n",
        ]
        #expect(WorkerCount.cgroupQuota { files[$0] } == 1.5)
    }

    @Test func versionOneQuotasAreRead() {
        let root = "/sys/fs/cgroup/cpu,cpuacct"
        let files = [
            "/proc/self/cgroup": "4:cpu,cpuacct:/k/p\n2:memory:/k/p\n",
            "\(root)/k/p/cpu.cfs_quota_us": "50000\n",
            "\(root)/k/p/cpu.cfs_period_us": "100000\n",
            "\(root)/cpu.cfs_quota_us": "-1\n",
            "\(root)/cpu.cfs_period_us": "100000\n",
        ]
        #expect(WorkerCount.cgroupQuota { files[$0] } == 0.5)
    }

    @Test func withoutCgroupsThereIsNoQuota() {
        #expect(WorkerCount.cgroupQuota { _ in nil } == nil)
    }
}

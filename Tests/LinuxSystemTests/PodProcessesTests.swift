import LinuxSystem
import Testing

@Suite struct PodProcessesTests {
    private static let uid = "6f1c2d3e-0000-4b5a-9c8d-112233445566"

    @Test(
        arguments: [
            ("0::/kubepods/burstable/pod\(uid)/abc\n", uid),
            ("11:memory:/kubepods/besteffort/pod\(uid)/abc\n0::/\n", uid),
            (
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-"
                    + "pod6f1c2d3e_0000_4b5a_9c8d_112233445566.slice/cri-containerd-ab.scope\n", uid
            ),
            ("0::/kubelet/kubepods/pod\(uid)/init\n", uid),
            ("0::/kubepods/pod0123456789abcdef/x\n", "0123456789abcdef"),
            ("0::/user.slice/pod\(uid)\n", nil),
            ("0::/system.slice/podman.service\n", nil),
            ("0::/kubepods/burstable\n", nil),
        ] as [(String, String?)]
    )
    func aCgroupNamesItsPod(text: String, uid: String?) {
        #expect(PodProcesses.podUID(inCgroup: text) == uid)
    }

    @Test func aPodIsNotTakenForOneWhoseUIDBeginsAlike() {
        let processes = PodProcesses([
            .init(number: 10, start: 1, namespace: 100, pod: "uid-10"),
            .init(number: 11, start: 2, namespace: 101, pod: "uid-1"),
        ])
        #expect(processes.namespace(ofPod: "uid-1") == .process(11, namespace: 101))
    }

    @Test func theOldestProcessWins() {
        let processes = PodProcesses([
            .init(number: 30, start: 9, namespace: 103, pod: "a"),
            .init(number: 31, start: 3, namespace: 101, pod: "a"),
        ])
        #expect(processes.namespace(ofPod: "a") == .process(31, namespace: 101))
    }

    @Test func aProcessInAnotherPodsNamespaceDoesNotSpeakForItsPod() {
        let processes = PodProcesses([
            .init(number: 1, start: 1, namespace: 100, pod: "b"),
            .init(number: 2, start: 2, namespace: 100, pod: "a"),
            .init(number: 3, start: 3, namespace: 101, pod: "a"),
        ])
        #expect(processes.namespace(ofPod: "a") == .process(3, namespace: 101))
        let lost = PodProcesses([
            .init(number: 1, start: 1, namespace: 100, pod: "b"),
            .init(number: 2, start: 2, namespace: 100, pod: "a"),
        ])
        #expect(lost.namespace(ofPod: "a") == .foreign(pod: "b"))
        #expect(lost.namespace(ofPod: "c") == .none)
    }
}

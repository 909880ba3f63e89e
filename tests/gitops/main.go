// Command gitops takes the part of Argo CD or Flux, with the engines that they have: of a folder that `k8s-upgrade manifests --kustomize` wrote,
// it tells which objects are not in the cluster as they are in Git.
//
//	gitops apply argo|flux FOLDER
//	gitops drift argo|flux FOLDER    a line an object that has drifted, and nothing where none has
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kube-openapi/pkg/util/proto"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: gitops apply|drift argo|flux FOLDER"))
	}
	what, who, folder := os.Args[1], os.Args[2], os.Args[3]
	objects, err := built(folder)
	fail(err)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	fail(err)
	engine, err := engineOf(who, config)
	fail(err)
	switch what {
	case "apply":
		fail(engine.apply(context.Background(), objects))
	case "drift":
		for _, object := range objects {
			how, err := engine.drift(context.Background(), object.DeepCopy())
			if err != nil {
				fail(fmt.Errorf("%s: %w", named(object), err))
			}
			for _, how := range how {
				fmt.Printf("%s: %s\n", named(object), how)
			}
		}
	default:
		fail(fmt.Errorf("%s is neither apply nor drift", what))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func named(object *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s", object.GetKind(), object.GetName())
}

// built is what kustomize makes of the folder, as both engines have it made.
func built(folder string) ([]*unstructured.Unstructured, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // the folder says it
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, resource := range made.Resources() {
		text, err := resource.MarshalJSON()
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// engine is what of Argo CD or Flux matters here.
type engine interface {
	apply(ctx context.Context, objects []*unstructured.Unstructured) error
	// drift says in which way an object is not as it should be; nothing if it is.
	drift(ctx context.Context, object *unstructured.Unstructured) ([]string, error)
}

func engineOf(who string, config *rest.Config) (engine, error) {
	// Nothing here lasts: what a controller spares the API server would only be waited for.
	config.QPS, config.Burst = -1, -1
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	switch who {
	case "flux":
		owner := ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}
		poller := polling.NewStatusPoller(cluster, cluster.RESTMapper(), polling.Options{})
		return flux{ssa.NewResourceManager(cluster, poller, owner)}, nil
	case "argo":
		parser, err := parserOf(config)
		return argo{cluster, parser}, err
	default:
		return nil, fmt.Errorf("%s is neither argo nor flux", who)
	}
}

// flux applies on the server, and looks for drift by a dry run of the same.
type flux struct{ manager *ssa.ResourceManager }

func (f flux) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	if err := normalize.UnstructuredList(objects); err != nil {
		return err
	}
	_, err := f.manager.ApplyAllStaged(ctx, objects, ssa.DefaultApplyOptions())
	return err
}

func (f flux) drift(ctx context.Context, object *unstructured.Unstructured) ([]string, error) {
	if err := normalize.Unstructured(object); err != nil {
		return nil, err
	}
	entry, _, _, err := f.manager.Diff(ctx, object, ssa.DefaultDiffOptions())
	if err != nil {
		return nil, err
	}
	if entry.Action == ssa.UnchangedAction {
		return nil, nil
	}
	return []string{"flux: " + string(entry.Action)}, nil
}

// argo applies as kubectl does, by what was applied last, and looks for drift in both ways that it knows: by that, and by a dry run on the server.
type argo struct {
	cluster client.Client
	parser  *managedfields.GvkParser
}

const (
	argoManager = "argocd-controller"
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// apply is for objects that are not there yet.
func (a argo) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		text, err := object.MarshalJSON()
		if err != nil {
			return err
		}
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[lastApplied] = string(text)
		object.SetAnnotations(annotations)
		if err := a.cluster.Create(ctx, object, client.FieldOwner(argoManager)); err != nil {
			return fmt.Errorf("%s: %w", named(object), err)
		}
	}
	return nil
}

func (a argo) drift(ctx context.Context, object *unstructured.Unstructured) ([]string, error) {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(object.GroupVersionKind())
	if err := a.cluster.Get(ctx, client.ObjectKeyFromObject(object), live); apierrors.IsNotFound(err) {
		return []string{"argo: missing"}, nil
	} else if err != nil {
		return nil, err
	}
	ways := []struct {
		name    string
		options []diff.Option
	}{
		{"argo, by what was applied", nil},
		{"argo, on the server", []diff.Option{
			diff.WithServerSideDiff(true),
			diff.WithManager(argoManager),
			diff.WithGVKParser(a.parser),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(a)),
		}},
	}
	var drifted []string
	for _, way := range ways {
		found, err := diff.Diff(object.DeepCopy(), live.DeepCopy(), way.options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		if found.Modified {
			drifted = append(drifted, way.name)
		}
	}
	return drifted, nil
}

// ApplyResource is what the dry runner has made of an object.
func (a argo) ApplyResource(ctx context.Context, object *unstructured.Unstructured, _ cmdutil.DryRunStrategy, _, _, _ bool, manager string) (string, error) {
	tried := object.DeepCopy()
	tried.SetManagedFields(nil)
	err := a.cluster.Patch(ctx, tried, client.Apply, client.DryRunAll, client.FieldOwner(manager), client.ForceOwnership)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(tried)
	return string(text), err
}

// parserOf knows the API server's types.
func parserOf(config *rest.Config) (*managedfields.GvkParser, error) {
	asking, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	document, err := asking.OpenAPISchema()
	if err != nil {
		return nil, err
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return nil, err
	}
	return managedfields.NewGVKParser(models, false)
}

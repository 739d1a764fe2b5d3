"""A training script written after the document's section 4, in the shape of the published one, to plant defects in."""

MAIN = """
def make_loader(train_set, test_set, args):
    loaders = [DataLoader(dataset=part, batch_size=args.batch_size) for part in (train_set, test_set)]
    return loaders[0], loaders[1]


def main():
    parser.add_argument('--lr', type=float, default=0.001)
    parser.add_argument('--batch_size', type=int, default=512)
    parser.add_argument('--num_epochs', type=int, default=1000)
    parser.add_argument('--lr_freq', type=int, default=100)
    optimizer = Adam(model.parameters(), lr=args.lr)
"""
LOOP = """
def run_training(model, trainloader, testloader, criterion, optimizer, args):
    writer = SummaryWriter(log_dir=args.dir_name)
    rate = args.lr
    for epoch in range(args.num_epochs):
        optimizer.param_groups[0]['lr'] = rate * 0.5 ** (epoch // args.lr_freq)
        model, loss, psnr = train_epoch(model, trainloader, criterion, optimizer, args)
        test_loss, test_psnr = test_epoch(model, testloader, criterion, args)
        for name, value in (('Train', loss), ('Test', test_loss)):
            writer.add_scalar('Loss/' + name, value, global_step=epoch)
        for name, value in (('Train', psnr), ('Test', test_psnr)):
            writer.add_scalar('PSNR/' + name, value, global_step=epoch)
        torch.save(model.state_dict(), args.dir_name + '/model_' + str(epoch) + '.pt')
    return model
"""


def changed_script(before: str, after: str) -> tuple[str, str]:
    """The script with one place changed, which it must have once."""
    if (MAIN + LOOP).count(before) != 1:
        raise LookupError(f"made-up script: expected one {before!r}")
    return MAIN.replace(before, after), LOOP.replace(before, after)
